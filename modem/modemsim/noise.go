package modemsim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// restartFlood lets unsolicited lines and noise come as the faults say.
func (m *Modem) restartFlood() {
	m.repeat(&m.flood, time.Duration(m.faults.URCEvery), func() { m.urc(fmt.Sprintf("^RSSI:%d", m.rng.IntN(32))) })
	m.repeat(&m.babble, time.Duration(m.faults.Babble), func() {
		if !m.booting {
			m.emit(noise(m.rng))
		}
	})
}

// repeat does f at an interval, in the place of what e did; 0 is never.
func (m *Modem) repeat(e **entry, every time.Duration, f func()) {
	(*e).cancel()
	if every <= 0 {
		return
	}
	var next func()
	next = func() {
		f()
		*e = m.network.agenda.after(every, next)
	}
	*e = m.network.agenda.after(every, next)
}

// noise is a frame as a diagnostic port gives it: binary, its end marked by 7E.
func noise(rng *rand.Rand) string {
	b := make([]byte, 4+rng.IntN(28))
	for i := range b {
		b[i] = byte(0x80 | rng.Uint32())
	}
	return string(append(b, 0x7e))
}
