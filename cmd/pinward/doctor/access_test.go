package doctor

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"pinward/systemd"
)

// TestFrom: for each door, the list that lets an address in or drops it is named.
func TestFrom(t *testing.T) {
	for _, c := range []struct {
		ip, at     string
		state      State
		what, next string
		breaks     func(*machine)
	}{
		{"10.20.3.4", systemd.Socket, OK, "IPAddressAllow=10.20.0.0/16 in /etc/systemd/system/pinward.socket.d/50-pinward-access.conf", "", nil},
		{"::ffff:10.20.3.4", systemd.Socket, OK, "lets 10.20.3.4 in", "", nil},
		{"127.0.0.1", systemd.Socket, OK, "IPAddressAllow=localhost in /usr/lib", "", nil},
		{"10.30.3.4", systemd.Socket, Fail, "IPAddressDeny=any in /usr/lib", "pinward access allow 10.30.3.4/32 --https", nil},
		{"fd00::1", systemd.Socket, Fail, "drops fd00::1", "pinward access allow fd00::1/128 --https", nil},
		{"10.1.2.3", systemd.HL7Socket, OK, "engines.conf", "", nil},
		{"10.1.2.3", "hl7 mllp", OK, "allow = 10.1.2.3/32", "", nil},
		{"10.1.2.4", systemd.HL7Socket, Fail, "drops", "--hl7", nil},
		{"10.1.2.4", "hl7 mllp", OK, "peer epic", "", nil},
		{"10.1.2.5", "hl7 mllp", Fail, "closes the connection", `add "10.1.2.5/32" to allow`, nil},
		{"10.1.2.3", systemd.HL7Socket, Fail, "does not listen", "systemctl start", func(m *machine) {
			m.say("systemctl show pinward-hl7.socket", "ActiveState=active", "ActiveState=inactive")
		}},
		// An empty assignment ends the list before it (systemd.resource-control(5)).
		{"10.20.3.4", systemd.Socket, Fail, "drops", "", func(m *machine) {
			m.write("etc/systemd/system/pinward.socket.d/50-pinward-access.conf", "[Socket]\nIPAddressAllow=10.20.0.0/16\nIPAddressAllow=\n")
		}},
		// What stands in another section is not read by systemd, and not by us.
		{"10.20.3.4", systemd.Socket, Fail, "drops", "", func(m *machine) {
			m.write("etc/systemd/system/pinward.socket.d/50-pinward-access.conf", "[Service]\nIPAddressAllow=10.20.0.0/16\n")
		}},
	} {
		m := newMachine(t)
		if c.breaks != nil {
			c.breaks(m)
		}
		m.want(m.From(t.Context(), configFile, netip.MustParseAddr(c.ip)), "from", c.at, c.state, c.what, c.next)
	}
}

// TestFromBeyond: where every list of the box lets an address in, the firewalls are named.
func TestFromBeyond(t *testing.T) {
	m := newMachine(t)
	m.write("etc/systemd/system/pinward.socket.d/50-pinward-access.conf", "[Socket]\nIPAddressAllow=10.0.0.0/8\n")
	m.want(m.From(t.Context(), configFile, netip.MustParseAddr("10.1.2.3")), "from", "beyond", OK, "nft list ruleset", "")
}

// TestAllowAndRemove: the drop-in is ours alone, systemd reads it, and what is taken back is gone.
func TestAllowAndRemove(t *testing.T) {
	m := newMachine(t)
	p := netip.MustParsePrefix("10.30.0.0/24")
	ch, err := m.Allow(t.Context(), configFile, systemd.HL7Socket, p)
	if err != nil || !slices.Equal(ch.Added, []string{p.String()}) {
		t.Fatal(ch, err)
	}
	advice := strings.Join(ch.Advice, "\n")
	for _, want := range []string{"plain MLLP carries patient data", `add "10.30.0.0/24" to its allow`} {
		if !strings.Contains(advice, want) {
			t.Errorf("the advice lacks %q: %s", want, advice)
		}
	}
	if got := m.read(ch.File); !strings.Contains(got, "[Socket]\nIPAddressAllow=10.30.0.0/24") {
		t.Errorf("the drop-in is %q", got)
	}
	if m.ran[len(m.ran)-1] != "systemctl daemon-reload" && !slices.Contains(m.ran, "systemctl daemon-reload") {
		t.Errorf("systemd was not told: %v", m.ran)
	}
	if again, err := m.Allow(t.Context(), configFile, systemd.HL7Socket, p); err != nil || len(again.Added) != 0 || len(again.After) != 1 {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	m.says["systemctl show pinward-hl7.socket"] = strings.Replace(m.says["systemctl show pinward-hl7.socket"], "engines.conf", "engines.conf "+ch.File, 1)
	list, err := m.Access(t.Context())
	if err != nil || !slices.Contains(list, Granted{systemd.HL7Socket, p.String(), ch.File, true}) ||
		!slices.Contains(list, Granted{systemd.HL7Socket, "10.1.2.3", "/etc/systemd/system/pinward-hl7.socket.d/engines.conf", false}) {
		t.Errorf("the list is %v, %v", list, err)
	}
	if _, err := m.Remove(t.Context(), systemd.HL7Socket, netip.MustParsePrefix("10.1.2.3/32")); err == nil {
		t.Error("the administrator's own line was taken away")
	}
	if _, err := m.Remove(t.Context(), systemd.HL7Socket, p); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.path(ch.File)); !os.IsNotExist(err) {
		t.Errorf("an empty drop-in is left: %v", err)
	}
}

// TestAllowTellsThatSystemdDidNotRead: the file is there, and it does not hold yet.
func TestAllowTellsThatSystemdDidNotRead(t *testing.T) {
	m := newMachine(t)
	delete(m.says, "systemctl daemon-reload")
	if _, err := m.Allow(t.Context(), configFile, systemd.Socket, netip.MustParsePrefix("10.30.0.0/24")); err == nil || !strings.Contains(err.Error(), "systemctl daemon-reload") {
		t.Errorf("allow: %v", err)
	}
}

// TestAccessIsReadTheSecondTime: who types it again after systemd did not read it has it read, and is not told that all is
// well while the old list holds.
func TestAccessIsReadTheSecondTime(t *testing.T) {
	m, p := newMachine(t), netip.MustParsePrefix("10.30.0.0/24")
	reload := m.says["systemctl daemon-reload"]
	for _, do := range []func() error{
		func() error { _, err := m.Allow(t.Context(), configFile, systemd.Socket, p); return err },
		func() error { _, err := m.Remove(t.Context(), systemd.Socket, p); return err },
	} {
		delete(m.says, "systemctl daemon-reload")
		for range 2 {
			if err := do(); err == nil || !strings.Contains(err.Error(), "run: systemctl daemon-reload") {
				t.Errorf("systemd does not read: %v", err)
			}
		}
		m.says["systemctl daemon-reload"], m.ran = reload, nil
		do()
		if !slices.Contains(m.ran, "systemctl daemon-reload") {
			t.Errorf("systemd was not told again: %v", m.ran)
		}
	}
}

// TestParseNetwork: what is no network of a hospital is refused with a reason.
func TestParseNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1": "", "10.0.0.0/8": "", "192.168.4.0/24": "", "fd00:77::/64": "", "10.1.2.3/32": "",
		"10.0.0.1/8": "did you mean 10.0.0.0/8", "0.0.0.0/0": "more than one hospital", "::/0": "more than one hospital",
		"any": "neither", "127.0.0.1": "this machine", "10.0.0": "neither", "10.0.0.0/33": "neither", "": "neither",
	} {
		_, err := ParseNetwork(in)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}
