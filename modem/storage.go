package modem

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pinward/modem/line"
)

// inboxState is what became of a stored text that was offered.
type inboxState int

const (
	offered inboxState = iota + 1 // its event waits for Done
	kept                          // Done(nil): the copy in the modem may go
)

// inboxRoom is over what any SIM holds: more entries are left over from copies that somebody else deleted.
const inboxRoom = 1024

// sweep reads the storages: it offers what is new, and deletes what is kept. A copy is deleted only in the sweep that has just
// listed it under that index, so that neither a reboot nor another SIM can make us delete something else.
func (s *session) sweep() error {
	s.mu.Lock()
	for _, mem := range s.mems {
		if mem != s.mem && len(mem) == 2 {
			s.extra[mem] = true
		}
	}
	s.mems = nil
	s.mu.Unlock()
	if _, err := s.sweepOne(s.mem); err != nil {
		return err
	}
	for mem := range s.extra {
		if _, err := s.sweepOther(mem); err != nil {
			return err
		}
	}
	// After each start, until it is empty: what came while another memory was selected would lie there for ever.
	for _, mem := range slices.Clone(s.others) {
		left, err := s.sweepOther(mem)
		if err != nil {
			return err
		}
		if left == 0 {
			s.others = slices.DeleteFunc(s.others, func(m string) bool { return m == mem })
		}
	}
	return nil
}

// choose selects a memory that is not ours, for a moment; s.back selects ours again. Modems that want all three named get them.
func (s *session) choose(mem string) error {
	_, err := s.do(fmt.Sprintf("+CPMS=%q", mem))
	if whole := strings.ReplaceAll(s.back, strconv.Quote(s.mem), strconv.Quote(mem)); errors.As(err, new(*line.ResultError)) && strings.Contains(whole, ",") {
		_, err = s.do(whole)
	}
	return err
}

// sweepOther reads a memory that is not selected, as "SR" for the reports of some modems, and selects ours again. left is how many
// entries stay there.
func (s *session) sweepOther(mem string) (left int, err error) {
	err = s.choose(mem)
	var refused *line.ResultError
	if errors.As(err, &refused) {
		delete(s.extra, mem)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	left, err = s.sweepOne(mem)
	if _, back := s.do(s.back); err == nil {
		err = back
	}
	return left, err
}

// sweepOne handles the selected memory, which is mem.
func (s *session) sweepOne(mem string) (left int, err error) {
	info, err := s.doFor("+CMGL=4", 4*s.m.o.Timing.Step)
	var refused *line.ResultError
	if errors.As(err, &refused) {
		return 1, nil // a SIM that is still starting; the next poll comes
	}
	if err != nil {
		return 0, err
	}
	var gone [][32]byte // forgotten after the whole listing: a text may be stored twice
	for _, e := range listing(info) {
		left++
		in, err := decode(e.pdu)
		switch {
		case !e.outgoing && !e.whole():
			// Left where it is; the next poll reads it again.
		case e.outgoing || err != nil:
			// Drafts of whoever had this SIM before, and what is no TPDU at all: they only fill the storage.
			s.m.o.Log.Warn("stored entry that is no incoming text deleted", "modem", s.m.o.Name)
			if err := s.remove(e.index); err != nil {
				return left, err
			}
			left--
		case s.m.isKept(in.hash):
			if err := s.remove(e.index); err != nil {
				return left, err
			}
			gone = append(gone, in.hash)
			left--
		default:
			s.m.offerStored(in)
		}
	}
	for _, hash := range gone {
		s.m.forget(hash)
	}
	if mem != s.mem {
		return left, nil
	}
	return left, s.measure()
}

// measure asks the modem how full its storage is: by its own count, which also holds what it does not list. What it says of its size
// is not always true (reference 5.4).
func (s *session) measure() error {
	info, err := s.ask("+CPMS?")
	if err != nil {
		return err
	}
	f := fields(field(info, "+CPMS"))
	if len(f) < 3 {
		return nil
	}
	used, bad := strconv.Atoi(f[1])
	size, worse := strconv.Atoi(f[2])
	if bad != nil || worse != nil {
		return nil
	}
	if limit, ok := s.p.Limits[s.mem]; ok {
		size = min(size, limit)
	}
	s.m.update(func(st *Status) {
		st.StorageUsed, st.StorageSize = used, size
		st.StorageFull = st.StorageFull && used >= size
	})
	return nil
}

// remove deletes a stored entry. An entry that is already gone is no error.
func (s *session) remove(index int) error {
	_, err := s.do("+CMGD=" + strconv.Itoa(index))
	var refused *line.ResultError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

func (m *Modem) isKept(hash [32]byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inbox[hash] == kept
}

func (m *Modem) forget(hash [32]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.inbox, hash)
}

// offerStored offers what stands in storage, once. If nobody takes events it stays where it is.
func (m *Modem) offerStored(in incoming) {
	m.mu.Lock()
	if m.inbox[in.hash] != 0 {
		m.mu.Unlock()
		return
	}
	if len(m.inbox) >= inboxRoom {
		for h, state := range m.inbox { // kept ones whose copy has gone another way
			if state == kept {
				delete(m.inbox, h)
			}
		}
	}
	m.inbox[in.hash] = offered
	m.mu.Unlock()
	e := Event{Report: in.report, Text: in.text, Done: func(err error) {
		m.mu.Lock()
		if m.inbox[in.hash] == offered {
			if err == nil {
				m.inbox[in.hash] = kept
			} else {
				delete(m.inbox, in.hash) // offered again at the next poll
			}
		}
		cur := m.cur
		m.mu.Unlock()
		if err == nil && cur != nil {
			signal(cur.look)
		}
	}}
	select {
	case m.events <- e:
	default:
		m.forget(in.hash)
	}
}

// entry is one line pair of +CMGL in PDU mode (27.005, 4.1).
type entry struct {
	index    int
	outgoing bool // <stat> 2 or 3: stored by the host
	length   int  // <length>: octets of the TPDU, without the service centre
	pdu      string
}

// whole says that the PDU came as long as it was announced: a line that was garbled on its way is not what the SIM holds.
func (e entry) whole() bool {
	if len(e.pdu) < 2 {
		return false
	}
	smsc, err := strconv.ParseUint(e.pdu[:2], 16, 8)
	return err == nil && len(e.pdu) == 2*(1+int(smsc)+e.length)
}

// listing reads the answer to +CMGL=4. What does not fit is left out: it is seen again at the next poll, and stays.
func listing(info []string) []entry {
	var out []entry
	for i := 0; i+1 < len(info); i++ {
		head := fields(field(info[i:i+1], "+CMGL"))
		if len(head) < 2 || field(info[i+1:i+2], "+CMGL") != "" {
			continue
		}
		index, err := strconv.Atoi(head[0])
		length, bad := strconv.Atoi(head[len(head)-1])
		if err != nil || bad != nil {
			continue
		}
		out = append(out, entry{index: index, outgoing: head[1] == "2" || head[1] == "3", length: length, pdu: info[i+1]})
		i++
	}
	return out
}
