package modem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pinward/modem/line"
)

// emptyTime is how long a modem may take to delete all it has; flash is slow.
const emptyTime = 30 * time.Second

// Empty deletes every text on the SIM and in the modem, read or not (+CMGD=1,4, 27.005, 3.5.4), at the end of a box. What
// came in and nobody has taken yet is gone.
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
	var refused *line.ResultError
	for _, mem := range p.Storage {
		if _, err := s.do(fmt.Sprintf("+CPMS=%q", mem)); errors.As(err, &refused) {
			continue // a memory that this modem does not have
		} else if err != nil {
			return fmt.Errorf("empty storage: %w", err)
		}
		if _, err := s.doFor("+CMGD=1,4", emptyTime); err != nil {
			return errors.Join(fmt.Errorf("empty storage: %w", err), s.keepStorage())
		}
	}
	return s.keepStorage()
}

// keepStorage goes back to the memory that the session works with.
func (s *session) keepStorage() error {
	if _, err := s.do(s.back); err != nil {
		return fmt.Errorf("go back to storage: %w", err)
	}
	return nil
}
