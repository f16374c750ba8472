package modemsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
)

// storage is one message storage of +CPMS, 27.005 section 3.2.3.
type storage struct {
	capacity int
	slots    map[int]*stored
}

// stored is a message in a storage; Stat is the <stat> of 27.005 section 3.1.
type stored struct {
	Stat int    `json:"stat"`
	TPDU []byte `json:"tpdu"`
}

// The values of <stat>; 4 means all.
const (
	statUnread = iota
	statRead
	statUnsent
	statSent
	statAll
)

var statNames = []string{"REC UNREAD", "REC READ", "STO UNSENT", "STO SENT", "ALL"}

// loadStorage takes up what the SIM and the device held before a restart of
// the whole world.
func (m *Modem) loadStorage() error {
	m.store = map[string]*storage{}
	for name, capacity := range m.profile.capacity {
		m.store[name] = &storage{capacity, map[int]*stored{}}
	}
	prefix := "sim/" + m.opts.Name + "/"
	for name, value := range m.network.loaded {
		place, ours := strings.CutPrefix(name, prefix)
		if !ours {
			continue
		}
		mem, number, _ := strings.Cut(place, "/")
		index, err := strconv.Atoi(number)
		s := &stored{}
		if err == nil {
			err = json.Unmarshal(value, s)
		}
		if err != nil || m.store[mem] == nil {
			return errors.New("decode kept SIM storage: its form is unknown")
		}
		m.store[mem].slots[index] = s
		delete(m.network.loaded, name)
	}
	return nil
}

// memory finds a storage by its +CPMS name; MT, which means both, stands for the device's own.
func (m *Modem) memory(name string) (string, *storage) {
	if name == "MT" {
		name = "ME"
	}
	return name, m.store[name]
}

func (m *Modem) keepSlot(mem string, index int, s *stored) {
	name := fmt.Sprintf("sim/%s/%s/%d", m.opts.Name, mem, index)
	if s == nil {
		delete(m.store[mem].slots, index)
		m.network.forget(name)
		return
	}
	m.store[mem].slots[index] = s
	m.network.save(name, s)
}

// put stores s at the first free place of a storage; false when it is full.
func (m *Modem) put(mem string, s *stored) (int, bool) {
	mem, store := m.memory(mem)
	if m.faults.StoreFull || len(store.slots) >= store.capacity {
		return 0, false
	}
	for index := m.profile.firstIndex; ; index++ {
		if store.slots[index] == nil {
			m.keepSlot(mem, index, s)
			return index, true
		}
	}
}

// indexes lists the used places in their order.
func (s *storage) indexes() []int {
	list := make([]int, 0, len(s.slots))
	for i := range s.slots {
		list = append(list, i)
	}
	sort.Ints(list)
	return list
}

// commandStorage is +CPMS.
func commandStorage(m *Modem, c command) reply {
	use := func(name string) string {
		_, s := m.memory(name)
		used := len(s.slots)
		if m.faults.StoreFull {
			used = s.capacity
		}
		if m.faults.StoreClaim > 0 {
			return fmt.Sprintf("%d,%d", used, m.faults.StoreClaim)
		}
		return fmt.Sprintf("%d,%d", used, s.capacity)
	}
	p := &m.set.cpms
	switch c.op {
	case '?':
		return ok(fmt.Sprintf(`+CPMS: "%s",%s,"%s",%s,"%s",%s`, p[0], use(p[0]), p[1], use(p[1]), p[2], use(p[2])))
	case 't':
		names := `("` + strings.Join(m.profile.stores, `","`) + `")`
		return ok("+CPMS: " + names + "," + names + "," + names)
	case '=':
		next := *p
		if m.faults.ThreeStores && c.value(2).text == "" {
			return m.cms(cmsNotAllowed)
		}
		for i := range next {
			if name := strings.ToUpper(c.value(i).text); name != "" {
				if _, s := m.memory(name); s == nil {
					return m.cms(cmsNotAllowed)
				}
				next[i] = name
			}
		}
		*p = next
		return ok("+CPMS: " + use(p[0]) + "," + use(p[1]) + "," + use(p[2]))
	}
	return m.unsupported()
}

// commandRead is +CMGR, 27.005 sections 3.4.3 and 4.2.
func commandRead(m *Modem, c command) reply {
	if c.op == 't' {
		return ok()
	}
	mem, store := m.memory(m.set.cpms[0])
	index, valid := c.number(0, -1, 0, 1000)
	if !valid || index < m.profile.firstIndex || index >= m.profile.firstIndex+store.capacity {
		return m.cms(cmsBadIndex)
	}
	s := store.slots[index]
	switch {
	case s == nil && m.profile.emptyReadOK:
		return ok()
	case s == nil:
		return m.cms(cmsBadIndex)
	}
	info := m.show("+CMGR: ", s)
	if s.Stat == statUnread {
		m.keepSlot(mem, index, &stored{statRead, s.TPDU})
	}
	return ok(info...)
}

// commandList is +CMGL, 27.005 sections 3.4.2 and 4.1. What it lists is read then.
func commandList(m *Modem, c command) reply {
	if c.op == 't' {
		if m.set.cmgf == 1 {
			return ok(`+CMGL: ("` + strings.Join(statNames, `","`) + `")`)
		}
		return ok("+CMGL: (0-4)")
	}
	want, valid := c.number(0, statUnread, 0, statAll)
	if m.set.cmgf == 1 && c.args != "" {
		want, valid = 0, false
		for i, name := range statNames {
			if strings.EqualFold(c.value(0).text, name) {
				want, valid = i, true
			}
		}
	}
	if !valid {
		return m.cms(cmsBadPDU)
	}
	mem, store := m.memory(m.set.cpms[0])
	var info []string
	for _, index := range store.indexes() {
		s := store.slots[index]
		if want != statAll && s.Stat != want {
			continue
		}
		info = append(info, m.show(fmt.Sprintf("+CMGL: %d,", index), s)...)
		if s.Stat == statUnread {
			m.keepSlot(mem, index, &stored{statRead, s.TPDU})
		}
	}
	return ok(info...)
}

// show gives the lines of a stored message behind prefix.
func (m *Modem) show(prefix string, s *stored) []string {
	if m.set.cmgf == 0 {
		return []string{fmt.Sprintf("%s%d,,%d", prefix, s.Stat, len(s.TPDU)), m.pduLine(s.TPDU)}
	}
	head, text := m.textForm(s.TPDU)
	return []string{fmt.Sprintf(`%s"%s",%s`, prefix, statNames[s.Stat], head), text}
}

// commandDelete is +CMGD, 27.005 section 3.5.4.
func commandDelete(m *Modem, c command) reply {
	mem, store := m.memory(m.set.cpms[0])
	if c.op == 't' {
		list := make([]string, 0, len(store.slots))
		for _, i := range store.indexes() {
			list = append(list, strconv.Itoa(i))
		}
		return ok("+CMGD: (" + strings.Join(list, ",") + "),(0-4)")
	}
	index, ok1 := c.number(0, -1, 0, 1000)
	scope, ok2 := c.number(1, 0, 0, 4)
	if c.op != '=' || !ok1 || !ok2 {
		return m.cms(cmsBadIndex)
	}
	if m.faults.DeleteOne {
		scope = 0
	}
	if scope == 0 && (index < m.profile.firstIndex || index >= m.profile.firstIndex+store.capacity) {
		return m.cms(cmsBadIndex)
	}
	for _, i := range store.indexes() {
		stat := store.slots[i].Stat
		gone := i == index
		switch scope {
		case 1:
			gone = stat == statRead
		case 2:
			gone = stat == statRead || stat == statSent
		case 3:
			gone = stat != statUnread
		case 4:
			gone = true
		}
		if gone {
			m.keepSlot(mem, i, nil)
		}
	}
	m.network.agenda.after(0, m.poke) // there may be room for what waits
	return ok()
}

// commandWriteStored is +CMGW, 27.005 sections 3.5.3 and 4.4.
func commandWriteStored(m *Modem, c command) reply {
	if c.op == 't' {
		return ok()
	}
	return m.takeBody(c, func(_ submit, tpdu []byte) {
		index, fits := m.put(m.set.cpms[1], &stored{statUnsent, tpdu})
		if !fits {
			m.finish(m.cms(cmsStoreFull))
			return
		}
		m.finish(ok(fmt.Sprintf("+CMGW: %d", index)))
	})
}

// commandSendStored is +CMSS, 27.005 section 3.5.2.
func commandSendStored(m *Modem, c command) reply {
	if c.op == 't' {
		return ok()
	}
	mem, store := m.memory(m.set.cpms[1])
	index, valid := c.number(0, -1, 0, 1000)
	s := store.slots[index]
	if c.op != '=' || !valid || s == nil {
		return m.cms(cmsBadIndex)
	}
	out, err := decodeSubmit(s.TPDU, time.Now())
	if err != nil {
		return m.cms(cmsNotAllowed)
	}
	if da := c.value(1).text; da != "" {
		if out.To, err = m.textAddress(da, c.value(2).text); err != nil {
			return m.cms(cmsBadText)
		}
	}
	m.keepSlot(mem, index, &stored{statSent, s.TPDU})
	m.send(out, "+CMSS")
	return reply{wait: true}
}
