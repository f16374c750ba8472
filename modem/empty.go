package modem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"pinward/modem/line"
)

const (
	// emptyTime is how long a modem may take to delete all it has; flash is slow.
	emptyTime = 30 * time.Second
	// emptyTries is how often a memory is emptied before it counts as one that keeps its texts: one may come in meanwhile.
	emptyTries = 3
)

// ErrNotEmpty says that texts are left in a memory although the modem was told to delete them.
var ErrNotEmpty = errors.New("texts are left")

// errNoMemory says that a modem does not have a memory.
var errNoMemory = errors.New("no such memory")

// Empty deletes every text on the SIM and in the modem, read or not, at the end of a box, and counts afterwards (27.005, 3.2.3): a
// modem's OK alone is not believed. What came in and nobody has taken yet is gone. A modem without a memory of its own is no
// error, a SIM that cannot be reached is one.
func (m *Modem) Empty(ctx context.Context) error {
	release, err := m.one(ctx)
	if err != nil {
		return err
	}
	defer release()
	s, p, err := m.up()
	if err != nil {
		return err
	}
	mems := p.Storage
	if !slices.Contains(mems, "SM") {
		mems = append(slices.Clone(mems), "SM")
	}
	for _, mem := range mems {
		var err error
		for range emptyTries {
			if err = s.emptyOne(mem); !errors.Is(err, ErrNotEmpty) {
				break
			}
		}
		if err != nil && (mem == "SM" || !errors.Is(err, errNoMemory)) {
			return errors.Join(fmt.Errorf("empty memory %s: %w", mem, err), s.keepStorage())
		}
	}
	return s.keepStorage()
}

// ofSIM tells whether a refusal is for want of a SIM that works (27.005, 3.2.5: 310 to 318), and not of the memory.
func ofSIM(e *line.ResultError) bool { return e.Kind == "CMS" && e.Code >= 310 && e.Code <= 318 }

// emptyOne empties a memory: all at once (+CMGD=1,4, 27.005, 3.5.4), and what is still there after that one by one, as some modems
// take no notice of the flag.
func (s *session) emptyOne(mem string) error {
	var refused *line.ResultError
	if err := s.choose(mem); errors.As(err, &refused) && !ofSIM(refused) {
		return fmt.Errorf("%w: %w", errNoMemory, err)
	} else if err != nil {
		return err
	}
	if _, err := s.doFor("+CMGD=1,4", emptyTime); err != nil && !errors.As(err, &refused) {
		return err
	}
	left, err := s.count(mem)
	if err != nil || left == 0 {
		return err
	}
	info, err := s.doFor("+CMGL=4", 4*s.m.o.Timing.Step)
	if err != nil {
		return err
	}
	for _, e := range listing(info) {
		if err := s.remove(e.index); err != nil {
			return err
		}
	}
	if left, err = s.count(mem); err == nil && left > 0 {
		err = fmt.Errorf("%w: %d", ErrNotEmpty, left)
	}
	return err
}

// count is how many texts the modem says are in a memory. The session may have selected another one meanwhile, for its own
// reading: then nothing is known of this one.
func (s *session) count(mem string) (int, error) {
	info, err := s.ask("+CPMS?")
	if err != nil {
		return 0, err
	}
	f := fields(field(info, "+CPMS"))
	if len(f) < 2 || f[0] != mem {
		return 0, fmt.Errorf("%w: their number is not known", ErrNotEmpty)
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return 0, fmt.Errorf("%w: their number is not known", ErrNotEmpty)
	}
	return n, nil
}

// keepStorage goes back to the memory that the session works with.
func (s *session) keepStorage() error {
	if _, err := s.do(s.back); err != nil {
		return fmt.Errorf("go back to storage: %w", err)
	}
	return nil
}
