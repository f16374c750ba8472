package daemon_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pinward/daemon"
	"pinward/modem"
)

// good is a configuration that uses every key.
const good = `[box]
id = "clinic-7"
state = "/var/lib/pinward"
[tpm]
device = "/dev/tpmrm0"
unseal = "tpm+passphrase"
[https]
listen = "[::]:8443"
certificate = "/etc/pinward/server.pem"
key = "/etc/pinward/server-key.pem"
[[hl7]]
name = "mllp"
listen = "127.0.0.1:2575"
mode = "live"
allow = ["10.1.2.3/32", "fd00::/64"]
zone = "America/New_York"
ack = "enhanced"
max_frame = 4194304
form_feed_end = true
certificate = "/etc/pinward/mllp.pem"
key = "/etc/pinward/mllp-key.pem"
ca = "/etc/pinward/engines.pem"
[[hl7.peer]]
name = "epic"
addresses = ["10.1.2.0/24"]
pins = ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
subjects = ["CN=engine1"]
[[modem]]
name = "modem1"
device = "/dev/pinward/modem-1"
pin = "sim1"
cgsms = 0
radio = "3g"
ims = "off"
no_validity = true
national_toa = true
[control]
socket = "/run/pinward/pinward.sock"
[speech]
folder = "/etc/pinward/speech"
`

func load(t *testing.T, text string) (daemon.Config, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pinward.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := daemon.LoadConfig(path)
	return c, path, err
}

func TestConfigGood(t *testing.T) {
	c, _, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	set := modem.Settings{CGSMS: new(int), Radio: modem.Radio3G, IMS: modem.IMSOff, NoValidity: true, NationalTOA: true}
	if c.Box.ID != "clinic-7" || c.TPM.Unseal != "tpm+passphrase" || c.HTTPS.Listen.HostPort != "[::]:8443" ||
		len(c.HL7) != 1 || c.HL7[0].Listen.HostPort != "127.0.0.1:2575" || c.HL7[0].Allow[1] != netip.MustParsePrefix("fd00::/64") ||
		len(c.Modems) != 1 || c.Modems[0].PIN != "sim1" || !reflect.DeepEqual(c.Modems[0].Settings, set) || c.Control.Socket != "/run/pinward/pinward.sock" {
		t.Errorf("read as %+v", c)
	}
}

// TestConfigDefaults: what has one home of a packaged installation need not be said.
func TestConfigDefaults(t *testing.T) {
	c, _, err := load(t, "[box]\nid = 'a'\n[https]\ncertificate = 'c'\nkey = 'k'\n")
	if err != nil {
		t.Fatal(err)
	}
	d := daemon.Defaults()
	d.Box.ID, d.HTTPS.Certificate, d.HTTPS.Key = "a", "c", "k"
	if c.Box != d.Box || c.TPM != d.TPM || c.HTTPS != d.HTTPS || c.Control != d.Control || c.HL7 != nil || c.Modems != nil {
		t.Errorf("read as %+v, want %+v", c, d)
	}
}

// TestConfigPackaged: the file that the package installs is one that the daemon reads.
func TestConfigPackaged(t *testing.T) {
	if _, err := daemon.LoadConfig("../packaging/pinward.toml"); err != nil {
		t.Error(err)
	}
}

// TestConfigBad changes one thing in a good configuration; the error names the file and the place.
func TestConfigBad(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":              {`unseal =`, `unsael =`, `line 6, column 1: unknown key "tpm.unsael"`},
		"unknown table":            {`[control]`, `[contrl]`, `line 37, column 2: unknown key "contrl"`},
		"unknown key in a list":    {`pin =`, `pim =`, `line 31, column 1: unknown key "modem.pim"`},
		"key twice":                {`name = "mllp"`, "name = \"mllp\"\nname = \"again\"", `line 13, column 1: `},
		"no TOML":                  {`id = "clinic-7"`, `id = clinic-7`, `line 2, column 6: `},
		"no closing quote":         {`zone = "America/New_York"`, `zone = "America/New_York`, `line 16, column `},
		"empty address":            {`listen = "[::]:8443"`, `listen = ""`, `line 8, column 10: an address must not be empty`},
		"empty address of HL7":     {`listen = "127.0.0.1:2575"`, `listen = ""`, `line 13, column 10: an address must not be empty`},
		"address without a port":   {`listen = "[::]:8443"`, `listen = "localhost"`, `line 8, column 10: an address is host:port`},
		"address with port empty":  {`listen = "[::]:8443"`, `listen = "localhost:"`, `line 8, column 10: an address needs a port`},
		"bare IPv6 address":        {`listen = "[::]:8443"`, `listen = "::1"`, `line 8, column 10: an address is host:port`},
		"port as a number":         {`listen = "[::]:8443"`, `listen = 8443`, `an address is host:port`},
		"network that is none":     {`"10.1.2.3/32"`, `"10.1.2.3/33"`, `line 15, column `},
		"network without bits":     {`"10.1.2.3/32"`, `"10.1.2.3"`, `line 15, column `},
		"number for a text":        {`pin = "sim1"`, `pin = 1`, `line 31, column `},
		"no address of HL7":        {`listen = "127.0.0.1:2575"`, ``, `hl7[0].listen: must be set`},
		"no id":                    {`id = "clinic-7"`, ``, `box.id`},
		"id with a capital":        {`clinic-7`, `Clinic-7`, `box.id`},
		"id longer than a share's": {`clinic-7`, strings.Repeat("a", 33), `box.id`},
		"relative state":           {`/var/lib/pinward`, `var/lib/pinward`, `box.state: must be an absolute path`},
		"relative socket":          {`/run/pinward/pinward.sock`, `pinward.sock`, `control.socket: must be an absolute path`},
		"empty device":             {`"/dev/tpmrm0"`, `""`, `tpm.device`},
		"unknown unseal":           {`tpm+passphrase`, `tmp`, `tpm.unseal: "tmp" is none of`},
		"no certificate":           {`certificate = "/etc/pinward/server.pem"`, ``, `https: certificate and key`},
		"no key":                   {`key = "/etc/pinward/server-key.pem"`, ``, `https: certificate and key`},
		"unknown mode":             {`mode = "live"`, `mode = "alive"`, `hl7[0].mode: "alive" is none of`},
		"unknown ack":              {`ack = "enhanced"`, `ack = "CA"`, `hl7[0].ack: "CA" is neither`},
		"unknown zone":             {`America/New_York`, `America/Newark`, `hl7[0].zone`},
		"zone of this machine":     {`America/New_York`, `Local`, `hl7[0].zone`},
		"frame that is too large":  {`max_frame = 4194304`, `max_frame = 33554432`, `hl7[0].max_frame`},
		"certificate without key":  {`key = "/etc/pinward/mllp-key.pem"`, ``, `hl7[0].certificate: needs its key`},
		"subject without a ca":     {`ca = "/etc/pinward/engines.pem"`, ``, `hl7[0].peer: "epic" has a subject`},
		"unknown key of a peer":    {`subjects =`, `subject =`, `unknown key "hl7.peer.subject"`},
		"peer without a name":      {`name = "epic"`, ``, `hl7[0].peer: a name`},
		"two peers of one name":    {`[[modem]]`, "[[hl7.peer]]\nname = \"epic\"\naddresses = [\"10.1.2.4/32\"]\n[[modem]]", `hl7[0].peer: "epic" is there twice`},
		"peer known by nothing":    {`[[modem]]`, "[[hl7.peer]]\nname = \"lab\"\n[[modem]]", `hl7[0].peer: "lab" has neither`},
		"secret with a path":       {`subjects =`, "secret = \"../epic\"\nsubjects =", `hl7[0].peer: secret of "epic" is the name`},
		"way back in clear":        {`subjects =`, "back = \"epic-results\"\nsubjects =", `hl7[0].peer: back of "epic" needs back_tls`},
		"way back to nowhere":      {`subjects =`, "back_tls = \"engine.example\"\nsubjects =", `hl7[0].peer: back_tls of "epic" needs back`},
		"relay by a short path":    {`[control]`, "[relay]\nsocket = \"relay.sock\"\n[control]", `relay.socket: must be an absolute path`},
		"listener without a name":  {`name = "mllp"`, ``, `hl7[0].name`},
		"listener named https":     {`name = "mllp"`, `name = "https"`, `hl7[0].name`},
		"two of one name":          {`[control]`, "[[modem]]\nname = \"modem1\"\ndevice = \"/dev/b\"\n[control]", `modem[1].name`},
		"two on one device":        {`[control]`, "[[modem]]\nname = \"modem2\"\ndevice = \"/dev/pinward/modem-1\"\n[control]", `modem[1].device`},
		"modem without a name":     {`name = "modem1"`, ``, `modem[0].name`},
		"relative device":          {`"/dev/pinward/modem-1"`, `"ttyUSB0"`, `modem[0].device: must be an absolute path`},
		"settings":                 {`cgsms = 0`, `cgsms = 4`, `modem[0].cgsms: must be 0 to 3`},
		"radio of another kind":    {`radio = "3g"`, `radio = "5g"`, `modem[0].radio: must be auto, 2g`},
		"ims neither on nor off":   {`ims = "off"`, `ims = "yes"`, `modem[0].ims: must be on or off`},
		"credential with a path":   {`pin = "sim1"`, `pin = "../sim1"`, `modem[0].pin`},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Count(good, c.old) != 1 {
				t.Fatalf("%q is not once in the good one", c.old)
			}
			_, path, err := load(t, strings.Replace(good, c.old, c.new, 1))
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// TestConfigTellsAll: what Check finds is told at once, not one by one.
func TestConfigTellsAll(t *testing.T) {
	_, _, err := load(t, "[box]\nstate = 'x'\n[tpm]\nunseal = 'y'\n[control]\nsocket = 'z'\n")
	for _, want := range []string{"box.id", "box.state", "tpm.unseal", "control.socket", "https"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
}

func TestConfigMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.toml")
	if _, err := daemon.LoadConfig(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, want the path", err)
	}
}
