package modemsim

import (
	"fmt"
	"strings"
)

// configured are Quectel's extended settings that are modelled, with the values of a new device. They are kept without power.
func configured() map[string]string { return map[string]string{"ims": "0", "nwscanmode": "0"} }

// commandQCFG is AT+QCFG="name"[,value[,...]]. Only the first value is kept. IMS counts from the next start; the second field of its
// answer says whether it is up.
func commandQCFG(m *Modem, c command) reply {
	name := c.value(0).text
	was, known := m.config[name]
	switch {
	case c.op != '=' || !known:
		return m.cme(cmeBadParameter)
	case len(c.values()) > 1:
		v := c.value(1).text
		if len(v) != 1 || strings.Trim(v, "0123456789") != "" {
			return m.cme(cmeBadParameter)
		}
		m.config[name] = v
		return ok()
	case name == "ims":
		up := 0
		if m.imsUp {
			up = 1
		}
		return ok(fmt.Sprintf(`+QCFG: "ims",%s,%d`, was, up))
	}
	return ok(fmt.Sprintf(`+QCFG: "%s",%s`, name, was))
}
