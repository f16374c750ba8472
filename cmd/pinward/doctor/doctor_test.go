package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHealthyMachine: on a machine that is well nothing is found, and everything was looked at.
func TestHealthyMachine(t *testing.T) {
	m := newMachine(t)
	list := m.examine()
	areas := map[string]bool{}
	for _, f := range list {
		areas[f.Area] = true
		if f.State != OK {
			t.Errorf("%s %s is %s: %s", f.Area, f.Name, f.State, f.What)
		}
	}
	for _, area := range []string{"config", "unit", "clock", "disk", "tpm", "modem", "certificate", "port", "access", "relay"} {
		if !areas[area] {
			t.Errorf("nothing is said of %s", area)
		}
	}
	if left, _ := filepath.Glob(m.path("/var/lib/pinward/.*")); len(left) > 0 {
		t.Errorf("the measurement left %v", left)
	}
}

// TestFindings breaks one thing at a time: each is found, and has its next step.
func TestFindings(t *testing.T) {
	for name, c := range map[string]struct {
		breaks     func(*machine)
		area, at   string
		state      State
		what, next string
	}{
		"no configuration":         {func(m *machine) { m.remove("etc/pinward/pinward.toml") }, "config", configFile, Fail, "no configuration", "install"},
		"configuration refused":    {func(m *machine) { m.says["pinwardd -check"] = "! pinwardd: line 3, column 1: unknown key \"bx\"" }, "config", configFile, Fail, `unknown key "bx"`, "restart"},
		"configuration is no TOML": {func(m *machine) { m.write("etc/pinward/pinward.toml", "[box") }, "config", configFile, Fail, "TOML", "-check"},

		"unit missing": {func(m *machine) { m.say("systemctl show pinward.socket", "LoadState=loaded", "LoadState=not-found") }, "unit", "pinward.socket", Fail, "not installed", "pinward service install"},
		"unit masked":  {func(m *machine) { m.say("systemctl show pinward.service", "LoadState=loaded", "LoadState=masked") }, "unit", "pinward.service", Fail, "masked", "unmask"},
		"unit failed":  {func(m *machine) { m.say("systemctl show pinward.service", "ActiveState=active", "ActiveState=failed") }, "unit", "pinward.service", Fail, "has failed", "reset-failed"},
		"unit disabled": {func(m *machine) {
			m.say("systemctl show pinward.service", "UnitFileState=enabled", "UnitFileState=disabled")
		}, "unit", "pinward.service", Warn, "not enabled", "systemctl enable"},
		"socket down": {func(m *machine) {
			m.say("systemctl show pinward-hl7.socket", "ActiveState=active", "ActiveState=inactive")
		}, "unit", "pinward-hl7.socket", Fail, "does not run", "systemctl start"},
		"unit starting": {func(m *machine) {
			m.say("systemctl show pinward.service", "ActiveState=active", "ActiveState=activating")
		}, "unit", "pinward.service", Warn, "not ready", "journalctl"},
		"restarts": {func(m *machine) { m.say("systemctl show pinward.service", "NRestarts=0", "NRestarts=7") }, "unit", "pinward.service", Warn, "7 times", "journalctl"},
		"not reloaded": {func(m *machine) {
			m.say("systemctl show pinward.socket", "NeedDaemonReload=no", "NeedDaemonReload=yes")
		}, "unit", "pinward.socket", Warn, "has not read it", "daemon-reload"},
		"an /etc unit over the packaged one": {func(m *machine) {
			m.say("systemctl show pinward.service", "FragmentPath=/usr/lib/", "FragmentPath=/etc/")
		}, "unit", "pinward.service", Fail, "stands over the unit of the package", "rm /etc/"},
		"a drop-in that opens the network": {func(m *machine) {
			m.say("systemctl show pinward.service", "DropInPaths=", "DropInPaths=/etc/systemd/system/pinward.service.d/x.conf")
			m.write("etc/systemd/system/pinward.service.d/x.conf", "[Service]\nPrivateNetwork=no\n")
		}, "unit", "pinward.service", Warn, "PrivateNetwork=no", "take it out"},

		"clock not kept": {func(m *machine) {
			m.say(clockQuestion, "NTPSynchronized=yes", "NTPSynchronized=no")
			m.remove("proc/200")
		}, "clock", "", Warn, "nothing keeps the clock", "set-ntp"},
		"clock not in step":       {func(m *machine) { m.say(clockQuestion, "NTPSynchronized=yes", "NTPSynchronized=no") }, "clock", "", Warn, "not synchronised", "timesync-status"},
		"clock of a dead battery": {func(m *machine) { m.Now = time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC) }, "clock", "", Fail, "2010-01-01", "battery"},

		"no state folder": {func(m *machine) { m.remove("var/lib/pinward") }, "disk", "/var/lib/pinward", Fail, "not there", "systemctl start"},
		"disk soon full":  {func(m *machine) { m.disk.Bavail = 3 << 20 / 4 }, "disk", "/var/lib/pinward", Warn, "3072 MB are free", "before 2048 MB"},
		"disk full":       {func(m *machine) { m.disk.Bavail = 1 << 18 }, "disk", "/var/lib/pinward", Fail, "below 2048 MB", "make space"},
		"inodes":          {func(m *machine) { m.disk.Ffree = m.disk.Files / 100 }, "disk", "/var/lib/pinward", Warn, "inodes", "small files"},
		"disk of others":  {func(m *machine) { m.disk.Type = 0x6969 }, "disk", "/var/lib/pinward", Fail, "NFS", "of this machine"},
		"disk is slow":    {func(m *machine) { m.sync.Median = 30 * time.Millisecond }, "disk", "fsync", Warn, "30ms", "SSD"},

		"no TPM":              {func(m *machine) { m.remove("dev/tpmrm0", "sys/class/tpm") }, "tpm", "/dev/tpmrm0", Fail, "shows no TPM", "firmware"},
		"no resource manager": {func(m *machine) { m.remove("dev/tpmrm0") }, "tpm", "/dev/tpmrm0", Fail, "knows a TPM", "modprobe"},
		"TPM 1.2":             {func(m *machine) { m.write("sys/class/tpm/tpm0/tpm_version_major", "1\n") }, "tpm", "/dev/tpmrm0", Fail, "TPM 1.2", "2.0"},
		"TPM rights":          {func(m *machine) { m.mode("dev/tpmrm0", 0o600) }, "tpm", "/dev/tpmrm0", Fail, "may not open", "usermod -aG tss"},
		"TPM shared":          {func(m *machine) { m.process(400, "tpm2-abrmd", m.path("/dev/tpmrm0")) }, "tpm", "/dev/tpmrm0", Warn, "tpm2-abrmd (pid 400)", "stop it"},

		"no modem on the bus": {func(m *machine) {
			m.remove("sys/bus/usb/devices/1-1", "dev/ttyUSB2", "dev/serial")
		}, "modem", "usb", Warn, "no modem of a known maker", "cable"},
		"modem without a port": {func(m *machine) { m.remove("dev/ttyUSB2", "dev/serial", "sys/class/tty") }, "modem", "Quectel 2c7c:0125", Fail, "no serial port", "new_id"},
		"modem unplugged":      {func(m *machine) { m.remove("dev/ttyUSB2", "dev/serial") }, "modem", "modem1", Fail, "nor any other serial port", "power of the hub"},
		"modem elsewhere":      {func(m *machine) { m.remove("dev/serial"); m.link("dev/serial/by-path/usb-7", "../../ttyUSB2") }, "modem", "modem1", Fail, "/dev/serial/by-path/usb-7", "modem probe"},
		"no modem configured": {func(m *machine) {
			m.change("etc/pinward/pinward.toml", "[[modem]]\nname = \"modem1\"\ndevice = \"/dev/serial/by-path/usb-1\"\n", "")
		}, "modem", "", Fail, "no modem is configured", "modem probe"},
		"unstable name":                     {func(m *machine) { m.change("etc/pinward/pinward.toml", "/dev/serial/by-path/usb-1", "/dev/ttyUSB2") }, "modem", "modem1", Warn, "another port after the modem resets", "modem probe"},
		"modem rights":                      {func(m *machine) { m.mode("dev/ttyUSB2", 0o600) }, "modem", "modem1", Fail, "may not open", "udevadm"},
		"no user":                           {func(m *machine) { m.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n") }, "modem", "modem1", Unknown, "no user pinward", "sysusers"},
		"modem held by minicom":             {func(m *machine) { m.process(400, "minicom", m.path("/dev/ttyUSB2")) }, "modem", "modem1", Fail, "minicom (pid 400) has", "systemctl stop minicom, or: kill 400"},
		"no udev rules":                     {func(m *machine) { m.remove("usr/lib/udev") }, "modem", "udev", Fail, "not installed", "udevadm"},
		"an empty file over the rules":      {func(m *machine) { m.write("etc/udev/rules.d/70-pinward.rules", "") }, "modem", "udev", Fail, "stands over", "rm /etc/udev"},
		"ModemManager without rules":        {func(m *machine) { m.remove("usr/lib/udev"); m.process(400, "ModemManager") }, "modem", "ModemManager", Fail, "garbled", "disable --now"},
		"ModemManager and an unknown maker": {func(m *machine) { m.write("sys/devices/usb1/1-1/idVendor", "19d2\n"); m.process(400, "ModemManager") }, "modem", "ModemManager", Warn, "another", "disable --now"},
		"brltty and a converter":            {func(m *machine) { m.write("sys/devices/usb1/1-1/idVendor", "10c4\n"); m.process(400, "brltty") }, "modem", "brltty", Warn, "Braille", "remove brltty"},

		"certificate gone":      {func(m *machine) { m.remove("etc/pinward/server.pem") }, "certificate", "https", Fail, "is not there", "reload"},
		"certificate old":       {func(m *machine) { m.until(-time.Hour) }, "certificate", "https", Fail, "ran out on 2026-11-22", "new one"},
		"certificate this week": {func(m *machine) { m.until(3 * 24 * time.Hour) }, "certificate", "https", Fail, "2026-11-25", "now"},
		"certificate soon":      {func(m *machine) { m.until(20 * 24 * time.Hour) }, "certificate", "https", Warn, "runs out on", "new one"},
		"certificate not yet": {func(m *machine) {
			m.certificate("etc/pinward/server.pem", "etc/pinward/server-key.pem", today.Add(time.Hour), today.AddDate(1, 0, 0))
		}, "certificate", "https", Fail, "from 2026-11-22 on", "clock"},
		"certificate of another key": {func(m *machine) {
			m.certificate("etc/pinward/server.pem", "etc/pinward/other.pem", today.Add(-time.Hour), today.AddDate(1, 0, 0))
		}, "certificate", "https", Fail, "another certificate", "belong together"},
		"key for everybody":    {func(m *machine) { m.mode("etc/pinward/server-key.pem", 0o644) }, "certificate", "https", Fail, "every user", "chmod 0640"},
		"key for root alone":   {func(m *machine) { m.mode("etc/pinward/server-key.pem", 0o600) }, "certificate", "https", Fail, "may not read its key", "chgrp pinward"},
		"no certificate in it": {func(m *machine) { m.write("etc/pinward/server.pem", "hello\n") }, "certificate", "https", Fail, "holds no certificate", "PEM"},
		"an authority that ran out": {func(m *machine) {
			m.certificate("etc/pinward/arr.pem", "etc/pinward/x.pem", today.AddDate(-2, 0, 0), today.AddDate(-1, 0, 0))
			m.change("etc/pinward/pinward.toml", "[box]", "[atna]\nrelay = \"siem\"\nca = \"/etc/pinward/arr.pem\"\n[box]")
		}, "certificate", "atna ca", Fail, "ran out", "new one"},

		"nobody listens":  {func(m *machine) { m.write("proc/net/tcp6", "") }, "port", "https", Fail, "nobody listens on port 8443", "systemctl start pinward.socket"},
		"nginx listens":   {func(m *machine) { m.remove("proc/1", "proc/300"); m.process(400, "nginx", "socket:[7001]") }, "port", "https", Fail, "nginx (pid 400) listens on port 8443", "another port"},
		"two ports named": {func(m *machine) { m.change("etc/pinward/pinward.toml", "[::]:8443", "[::]:443") }, "port", "https", Warn, "not used", "same port"},

		"only this machine may connect": {func(m *machine) { m.write("etc/systemd/system/pinward.socket.d/50-pinward-access.conf", "") }, "access", "pinward.socket", Warn, "no answer at all", "pinward access allow CIDR --https"},
		"everybody may connect":         {func(m *machine) { m.write("usr/lib/systemd/system/pinward-hl7.socket", "[Socket]\n") }, "access", "pinward-hl7.socket", Warn, "every address", "--hl7"},
		"any in a drop-in": {func(m *machine) {
			m.write("etc/systemd/system/pinward.socket.d/50-pinward-access.conf", "[Socket]\nIPAddressAllow=any\n")
		}, "access", "pinward.socket", Warn, "every address", "take the line away"},

		"a name that the relay lacks": {func(m *machine) { m.write("etc/pinward/relay.toml", "[dial]\n") }, "relay", "siem", Fail, "no such name", "[dial]"},
		"no list of the relay":        {func(m *machine) { m.remove("etc/pinward/relay.toml") }, "relay", relayFile, Fail, "has no list", "name the addresses"},
		"the relay's address dropped": {func(m *machine) { m.remove("etc/systemd/system/pinward-relay.service.d/siem.conf") }, "relay", "siem", Fail, "is dropped", "IPAddressAllow=10.9.0.7"},
		"a name that nobody resolves": {func(m *machine) { m.change("etc/pinward/relay.toml", "siem.hospital", "seim.hospital") }, "relay", "siem", Fail, "cannot be resolved", "name servers"},
		"a way back that nobody lists": {func(m *machine) {
			m.change("etc/pinward/pinward.toml", `name = "epic"`, "name = \"epic\"\nback = \"epic-results\"")
		}, "relay", "epic-results", Fail, "hl7 mllp peer epic dials it", "[dial]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			c.breaks(m)
			m.want(m.examine(), c.area, c.at, c.state, c.what, c.next)
		})
	}
}

const clockQuestion = "timedatectl show --property=NTPSynchronized,NTP"

func (m *machine) mode(path string, mode os.FileMode) {
	m.t.Helper()
	if err := os.Chmod(filepath.Join(m.Root, path), mode); err != nil {
		m.t.Fatal(err)
	}
}

// until gives the HTTPS port a certificate that ends so long from today.
func (m *machine) until(left time.Duration) {
	m.certificate("etc/pinward/server.pem", "etc/pinward/server-key.pem", today.AddDate(-1, 0, 0), today.Add(left))
}

// TestEveryFindingHasItsNextStep: what does not work without a next step is a riddle.
func TestEveryFindingHasItsNextStep(t *testing.T) {
	m := newMachine(t)
	m.remove("dev", "proc", "usr/lib/udev", "etc/pinward/server.pem", "var")
	for _, f := range m.examine() {
		if f.State == Fail && f.Next == "" {
			t.Errorf("%s %s: %s has no next step", f.Area, f.Name, f.What)
		}
	}
}

// TestWithoutSystemd: on a machine without it nothing is claimed of units, and the rest is looked at.
func TestWithoutSystemd(t *testing.T) {
	m := newMachine(t)
	m.says = map[string]string{}
	m.remove("run/systemd")
	list := m.examine()
	m.want(list, "unit", "systemd", Unknown, "not booted with systemd", "")
	m.want(list, "modem", "modem1", OK, "may open it", "")
}

// TestFsyncIsJudged: the same figures mean the same on each machine.
func TestFsyncIsJudged(t *testing.T) {
	for median, want := range map[time.Duration]State{time.Millisecond: OK, 30 * time.Millisecond: Warn, 150 * time.Millisecond: Fail} {
		if s, _, next := JudgeFsync(Measured{median, median}); s != want || s != OK && next == "" {
			t.Errorf("%s is %s, want %s", median, s, want)
		}
	}
}

// TestThisMachine: the kernel is asked where nothing stands in for it.
func TestThisMachine(t *testing.T) {
	h := &Host{Root: t.TempDir(), Now: today}
	if err := os.MkdirAll(h.path("/var/lib/pinward"), 0o755); err != nil {
		t.Fatal(err)
	}
	var c Config
	c.Box.State = "/var/lib/pinward"
	list := h.examineDisk(t.Context(), c)
	if len(list) < 2 || !strings.Contains(list[0].What, "MB") || !strings.Contains(list[len(list)-1].What, "4 KB are durable after") {
		t.Errorf("this disk: %+v", list)
	}
}
