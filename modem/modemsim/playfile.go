package modemsim

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// transfer is the taking of a file's octets behind CONNECT or a prompt.
type transfer struct {
	left int
	got  []byte
	done func([]byte)
}

// maxFiles bounds what a module holds.
const maxFiles = 4 << 20

// Files names what lies in the module's own storage.
func (m *Modem) Files() []string {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	list := make([]string, 0, len(m.files))
	for name := range m.files {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// Spoken is what the module was told to say in words, in the call that is up or else in the last one.
func (m *Modem) Spoken() []string {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	return slices.Clone(m.spoken)
}

// fileName is the name of a file without its drive.
func fileName(c command) string {
	name := c.value(0).text
	if i := strings.LastIndexAny(name, ":/"); i >= 0 {
		name = name[i+1:]
	}
	return name
}

// commandUpload is +QFUPL and +CFTRANRX: the octets of a file follow.
func commandUpload(m *Modem, c command) reply {
	name := fileName(c)
	size, valid := c.number(1, 0, 1, maxFiles)
	_, exists := m.files[name]
	switch {
	case c.op == 't':
		return ok()
	case c.op != '=' || name == "" || !valid || size == 0:
		return m.cme(cmeBadParameter)
	case exists && c.name == "+QFUPL":
		return reply{final: "+CME ERROR: 407"} // file already exists
	}
	invite := "\r\nCONNECT\r\n"
	if c.name == "+CFTRANRX" {
		invite = "\r\n>"
	}
	m.term.transfer = &transfer{left: size, done: func(b []byte) {
		m.files[name] = b
		if c.name == "+QFUPL" {
			m.finish(ok(fmt.Sprintf("+QFUPL: %d,%x", len(b), checksum(b))))
			return
		}
		m.finish(ok())
	}}
	m.emit(invite)
	return reply{wait: true}
}

// checksum is Quectel's: the exclusive or of pairs of octets.
func checksum(b []byte) (sum uint16) {
	for i := 0; i < len(b); i += 2 {
		pair := uint16(b[i]) << 8
		if i+1 < len(b) {
			pair |= uint16(b[i+1])
		}
		sum ^= pair
	}
	return sum
}

// transferred takes octets of a file; the rest is a command line again.
func (m *Modem) transferred() {
	t := &m.term
	f := t.transfer
	n := min(f.left, len(t.in))
	f.got = append(f.got, t.in[:n]...)
	t.in = t.in[n:]
	if f.left -= n; f.left == 0 {
		t.transfer = nil
		f.done(f.got)
	}
}

// commandDeleteFile is +QFDEL and +FSDEL.
func commandDeleteFile(m *Modem, c command) reply {
	name := fileName(c)
	if _, exists := m.files[name]; !exists || c.op != '=' {
		if c.name == "+QFDEL" {
			return reply{final: "+CME ERROR: 405"}
		}
		return reply{final: "ERROR"}
	}
	delete(m.files, name)
	return ok()
}

// commandListFiles is +QFLST and +FSLS.
func commandListFiles(m *Modem, c command) reply {
	var info []string
	if c.name == "+FSLS" {
		info = append(info, "+FSLS: FILES:")
	}
	for name, b := range m.files {
		if c.name == "+FSLS" {
			info = append(info, name)
		} else {
			info = append(info, fmt.Sprintf(`+QFLST: "%s",%d`, name, len(b)))
		}
	}
	return ok(info...)
}

// commandPlayFile is +QPSND and +CCMXPLAY, +CCMXSTOP.
func commandPlayFile(m *Modem, c command) reply {
	end := "+QPSND: 0"
	name := c.value(1).text
	if c.name != "+QPSND" {
		end, name = "+AUDIOSTATE: audio play stop", fileName(c)
	}
	switch {
	case c.op == 't' || c.op == '?':
		return ok(c.name + ": (0,1)")
	case c.name == "+CCMXSTOP", c.name == "+QPSND" && c.value(0).text == "0":
		return m.stopSaying()
	case c.op != '=':
		return m.cme(cmeBadParameter)
	}
	b, exists := m.files[name]
	i := bytes.Index(b, []byte("data"))
	switch {
	case !exists, i < 0, len(b) < i+8:
		return reply{final: "+CME ERROR: 405"}
	case c.name == "+CCMXPLAY" && !m.quiet():
		return reply{final: "ERROR"}
	}
	r := m.say(b[i+8:], end)
	if r.final == "OK" && c.name == "+CCMXPLAY" {
		m.network.agenda.after(0, func() { m.urc("+AUDIOSTATE: audio play") })
	}
	return r
}

// quiet tells whether the module could say something.
func (m *Modem) quiet() bool {
	return m.call != nil && !m.call.answered.IsZero() && m.call.saying == ""
}

// commandSpeak is +QWTTS and +CTTS: the module says the words.
func commandSpeak(m *Modem, c command) reply {
	v := c.values()
	switch {
	case c.op == 't' || c.op == '?' || len(v) == 0:
		return ok(c.name + ": (0-2)")
	case len(v) == 1:
		return m.stopSaying()
	}
	words, mode := v[len(v)-1].text, v[len(v)-2].text
	if mode == "1" { // UCS2
		b, err := hex.DecodeString(words)
		if err != nil {
			return reply{final: "+CME ERROR: 902"}
		}
		words = ucs2Text(b)
	}
	if len(words) > 960 || words == "" {
		return reply{final: "+CME ERROR: 902"}
	}
	r := m.say(speech(len(words)), c.name+": 0")
	if r.final == "OK" {
		m.spoken = append(m.spoken, words)
	}
	return r
}

// say gives sound to the call; end tells when it is over.
func (m *Modem) say(pcm []byte, end string) reply {
	switch {
	case m.call == nil || m.call.answered.IsZero():
		return reply{final: "+CME ERROR: 903"}
	case m.call.saying != "":
		return reply{final: "+CME ERROR: 904"}
	}
	m.call.toSay, m.call.saying = append([]byte(nil), pcm...), end
	return ok()
}

// said tells that all was said.
func (m *Modem) said() {
	end := m.call.saying
	m.call.toSay, m.call.saying = nil, ""
	if !m.faults.PlayHangs && end != "" {
		m.urc(end)
	}
}

func (m *Modem) stopSaying() reply {
	if m.call != nil && m.call.saying != "" {
		m.network.agenda.after(0, func() {
			if m.call != nil {
				m.said()
			}
		})
	}
	return ok()
}
