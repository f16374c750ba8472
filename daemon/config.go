package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"pinward/modem"
	"pinward/store"
)

// Config is /etc/pinward/pinward.toml: what belongs to the box. What belongs to the hospital's
// policy (services, templates, clients, site) lives in the store and is changed by `pinward`.
//
// It is read strictly: an unknown key and an empty address are errors with line and column, because
// a misspelt key that is silently ignored is found at night. Each comment says what an attacker who
// controls the key gains.
type Config struct {
	Box     Box           `toml:"box"`
	TPM     TPM           `toml:"tpm"`
	HTTPS   HTTPS         `toml:"https"`
	HL7     []HL7Listener `toml:"hl7"`
	Modems  []ModemPort   `toml:"modem"`
	Speech  Speech        `toml:"speech"`
	Backup  Backup        `toml:"backup"`
	Control Control       `toml:"control"`
	Log     Log           `toml:"log"`
	Relay   Relay         `toml:"relay"`
	// Witnesses keep the signed heads of the audit off this box.
	Witnesses []WitnessTarget `toml:"witness"`
	// ATNA is the hospital's audit repository; nil is none.
	ATNA *ATNATarget `toml:"atna"`
	// Directory is the hospital's directory, by which people log in; nil is none.
	Directory *DirectoryTarget `toml:"directory"`
	// Mail is the server by which alarms leave; nil is none. Webhooks are who else is told.
	Mail     *MailTarget     `toml:"mail"`
	Webhooks []WebhookTarget `toml:"webhook"`
}

// Box names the appliance. An attacker who controls State points the daemon at another store, which
// it cannot open: the store is bound to this box's keys.
type Box struct {
	// ID is the appliance's own short name, part of the audit's origin "pinward/ID"; it never
	// changes once the box is commissioned. Lower-case letters, digits and "-".
	ID string `toml:"id"`
	// State is the folder of the store and the sealed keys.
	State string `toml:"state"`
	// KeepYears is for how long entries, consents and settings are kept before a month of them may be
	// shredded: 6 at least (45 CFR 164.316(b)(2)(i)), more where a state's law asks for it. An attacker
	// who raises it keeps what should be gone.
	KeepYears int `toml:"keep_years"`
}

// leastYears is the shortest time that keep_years may be.
const leastYears = 6

// keep is KeepYears as the store takes it.
func (b Box) keep() time.Duration {
	return store.Retention + time.Duration(max(b.KeepYears, leastYears)-leastYears)*(365*24+6)*time.Hour
}

// TPM names the device that seals the keys. An attacker who controls Device can keep the box sealed,
// not open it: the storage root key is pinned by name.
type TPM struct {
	// Device is a character device such as /dev/tpmrm0, or the Unix socket of a software TPM.
	Device string `toml:"device"`
	// Unseal is "tpm", "tpm+passphrase" or "operator" (a passphrase, whatever was booted); it is used when the
	// key is sealed: at commissioning and when the recovery kit seals it anew.
	Unseal string `toml:"unseal"`
	// Sysfs is where the kernel shows whether Secure Boot is on and what the firmware measured: "/sys". An attacker who
	// controls it can have the key sealed in mode "tpm" where Secure Boot is off.
	Sysfs string `toml:"sysfs"`
}

// HTTPS is the door of portals and nurses' stations. An attacker who controls the certificate and
// key can pose as this box; one who controls Listen can open it to another network, where systemd's
// address list still holds.
type HTTPS struct {
	// Listen is host:port. It is not used where systemd hands a listener named "https" over.
	Listen Address `toml:"listen"`
	// Certificate and Key are PEM files; the certificate file may hold a chain.
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
}

// HL7Listener is one MLLP port. An attacker who controls Allow or Mode lets another machine trigger
// texts to numbers that the hospital already holds; templates and limits still hold.
type HL7Listener struct {
	// Name tells listeners apart in the log and in the audit.
	Name string `toml:"name"`
	// Listen is host:port. It is not used where systemd hands a listener of this name over.
	Listen Address `toml:"listen"`
	// Mode is shadow, pilot or live; MSH-11 can only make it stricter. Empty means shadow.
	Mode string `toml:"mode"`
	// Allow lists who may connect, as CIDR. Plain MLLP carries patient data in clear: empty means
	// loopback only.
	Allow []netip.Prefix `toml:"allow"`
	// Zone is the time zone of date-times that carry none, an IANA name; empty means the site's.
	Zone string `toml:"zone"`
	// ACK is "original" or "enhanced" (HL7 v2.5.1 section 2.9); empty means original.
	ACK string `toml:"ack"`
	// MaxFrame is the largest message in bytes, at most 16 MiB; 0 means 1 MiB.
	MaxFrame int `toml:"max_frame"`
	// FormFeedEnd ends a message at every CR FF, as one Meditech interface does.
	FormFeedEnd bool `toml:"form_feed_end"`
	// Certificate and Key are PEM files and make this a port of MLLP over TLS alone. Then a sender needs a
	// certificate: one that an authority of CA signed, or one whose key a peer pins. An empty
	// Allow lets every address try.
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	CA          string `toml:"ca"`
	// Peers are who may send; none means one peer of the listener's name, for whoever may connect.
	Peers []HL7Peer `toml:"peer"`
}

// HL7Peer is how one sender is known by its connection; all that is given must hold. What its messages
// look like is policy, in the store under the same name. An attacker who controls a peer's address, where
// that is all that is asked for, can send in its name.
type HL7Peer struct {
	Name      string         `toml:"name"`
	Addresses []netip.Prefix `toml:"addresses"`
	// Pins are SHA-256 sums of the public key of its certificate, in hexadecimal digits.
	Pins []string `toml:"pins"`
	// Subjects are names of its certificate, such as "CN=engine1,O=Hospital"; they need a CA.
	Subjects []string `toml:"subjects"`
	// Secret is the name of the systemd credential with the password that its messages bear in MSH-8.
	// Whoever reads along on a plain port has it.
	Secret string `toml:"secret"`
	// Back is where the peer is told what became of its requests, where policy says that it is: a name on
	// the relay's list. Who controls it is told the ids that the peer sent, and when texts went.
	Back string `toml:"back"`
	// BackTLS is the name in the certificate of the peer's server; it has to be set where the listener has
	// TLS. Certificate, key, CA and pins are the listener's.
	BackTLS string `toml:"back_tls"`
}

// ModemPort is one attached modem. An attacker who controls Device can make the daemon talk AT to
// another port, where nothing but a modem's answer makes it go on.
type ModemPort struct {
	// Name is what people call this modem; the modem itself is known by its IMEI, the SIM by ICCID.
	Name string `toml:"name"`
	// Device is the port's stable name, such as /dev/pinward/modem-... or a by-path link: a
	// ttyUSB number changes when the modem resets.
	Device string `toml:"device"`
	// IMEI, where it is given, is the modem itself: it is found behind any other port when it is not at
	// Device, and no other modem is taken for it. 15 digits, as `pinward modem probe` shows them.
	IMEI string `toml:"imei"`
	// Audio is the modem's PCM port, which carries the sound of calls. Leave it out where the module is one of those whose
	// interfaces are known: it is found beside Device then.
	Audio string `toml:"audio"`
	// PIN names a systemd credential that holds the SIM's PIN; empty means the SIM asks for none.
	PIN string `toml:"pin"`
	// Settings are for a pair of module and SIM that does not send as it comes; their keys stand beside
	// the others.
	modem.Settings
}

// Relay is pinward-relay, by which alone the box makes connections to the hospital. Who controls its socket
// can be whatever the box dials: TLS still holds.
type Relay struct {
	// Socket is where it listens; pinward-relay.socket says so too.
	Socket string `toml:"socket"`
}

// Control is the socket of `pinward`. Who controls it can let another local account operate the box.
type Control struct {
	// Socket is a path; the file belongs to the daemon's group and is mode 0660.
	Socket string `toml:"socket"`
}

// Log is where the daemon's own log goes and how much it says. It holds nothing of a patient's at any level;
// who controls it can hide what went wrong from IT, not from the audit.
type Log struct {
	// Format is auto (journald with its fields where systemd started the daemon, else text), journal, text or
	// json; the last two go to stderr.
	Format string `toml:"format"`
	// Level is debug, info, warn or error; pinward log level changes it for a time.
	Level slog.Level `toml:"level"`
}

// logFormats are those of Log.
var logFormats = []string{"auto", "journal", "text", "json"}

// Address is host:port; an empty one is an error rather than "off", so that a forgotten value never
// opens or closes a door. It is no string type: go-toml would fill one without asking UnmarshalText.
type Address struct{ HostPort string }

// UnmarshalText accepts host:port with a port; the decoder adds line and column to its error.
func (a *Address) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return errors.New("an address must not be empty")
	}
	if _, port, err := net.SplitHostPort(string(b)); err != nil {
		return fmt.Errorf("an address is host:port: %w", err)
	} else if port == "" {
		return errors.New("an address needs a port")
	}
	a.HostPort = string(b)
	return nil
}

// Defaults is the configuration before the file is read.
func Defaults() Config {
	return Config{
		Box:     Box{State: "/var/lib/pinward", KeepYears: leastYears},
		TPM:     TPM{Device: "/dev/tpmrm0", Unseal: "tpm", Sysfs: "/sys"},
		HTTPS:   HTTPS{Listen: Address{"[::]:8443"}},
		Control: Control{Socket: "/run/pinward/pinward.sock"},
		Backup:  Backup{Keep: 14},
		Relay:   Relay{Socket: "/run/pinward-relay.sock"},
		Log:     Log{Format: "auto"},
	}
}

// LoadConfig reads and checks a file. An error names the file, and the line and column where the
// text itself is at fault.
func LoadConfig(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("open config: %w", err)
	}
	defer f.Close()
	c := Defaults()
	if err := toml.NewDecoder(f).DisallowUnknownFields().Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, placed(err))
	}
	if err := c.Check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// placed puts line and column in front of what the decoder says.
func placed(err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		first := &strict.Errors[0]
		line, col := first.Position()
		return fmt.Errorf("line %d, column %d: unknown key %q", line, col, strings.Join(first.Key(), "."))
	}
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, col := at.Position()
		return fmt.Errorf("line %d, column %d: %s", line, col, strings.TrimPrefix(at.Error(), "toml: "))
	}
	return err
}

// Check holds what a type cannot: a value that is well formed and still cannot work.
func (c Config) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	// It stands on each share of the recovery kit, which people type (tpm: at most 32).
	if c.Box.ID == "" || len(c.Box.ID) > 32 || strings.Trim(c.Box.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		bad("box.id: must be set, of 1 to 32 lower-case letters, digits and -")
	}
	if !filepath.IsAbs(c.Box.State) {
		bad("box.state: must be an absolute path")
	}
	if c.Box.KeepYears < leastYears || c.Box.KeepYears > 100 {
		bad("box.keep_years: must be %d to 100", leastYears)
	}
	if !filepath.IsAbs(c.Control.Socket) {
		bad("control.socket: must be an absolute path")
	}
	if c.Speech.Folder != "" && !filepath.IsAbs(c.Speech.Folder) {
		bad("speech.folder: must be an absolute path")
	}
	if err := c.Backup.check(); err != nil {
		bad("backup.%w", err)
	}
	if !filepath.IsAbs(c.Relay.Socket) {
		bad("relay.socket: must be an absolute path")
	}
	if !filepath.IsAbs(c.TPM.Device) {
		bad("tpm.device: must be an absolute path")
	}
	if !filepath.IsAbs(c.TPM.Sysfs) {
		bad("tpm.sysfs: must be an absolute path")
	}
	if !slices.Contains([]string{"tpm", "tpm+passphrase", "operator"}, c.TPM.Unseal) {
		bad("tpm.unseal: %q is none of tpm, tpm+passphrase, operator", c.TPM.Unseal)
	}
	if c.HTTPS.Certificate == "" || c.HTTPS.Key == "" {
		bad("https: certificate and key must be set")
	}
	if !slices.Contains(logFormats, c.Log.Format) {
		bad("log.format: %q is none of %s", c.Log.Format, strings.Join(logFormats, ", "))
	}
	names := map[string]bool{}
	for i, l := range c.HL7 {
		// systemd's listeners come by name, and "https" is the other door's.
		if l.Name == "" || l.Name == nameHTTPS || names["hl7 "+l.Name] {
			bad("hl7[%d].name: must be set, not be https, and be the only one of its name", i)
		}
		names["hl7 "+l.Name] = true
		if l.Listen.HostPort == "" {
			bad("hl7[%d].listen: must be set", i)
		}
		for _, what := range l.check() {
			bad("hl7[%d].%s", i, what)
		}
		for _, p := range l.Peers {
			if names["peer "+p.Name] {
				bad("hl7[%d].peer: %q is there twice; the store knows a peer by its name", i, p.Name)
			}
			names["peer "+p.Name] = true
		}
	}
	for i, m := range c.Modems {
		if m.Name == "" || names["modem "+m.Name] {
			bad("modem[%d].name: must be set and be the only one of its name", i)
		}
		names["modem "+m.Name] = true
		if !filepath.IsAbs(m.Device) {
			bad("modem[%d].device: must be an absolute path", i)
		} else if names["device "+m.Device] {
			bad("modem[%d].device: another modem has it", i)
		}
		names["device "+m.Device] = true
		switch {
		case m.Audio == "":
		case !filepath.IsAbs(m.Audio):
			bad("modem[%d].audio: must be an absolute path", i)
		case names["device "+m.Audio]:
			bad("modem[%d].audio: another port, or another modem, has it", i)
		default:
			names["device "+m.Audio] = true
		}
		if m.IMEI != "" && (len(m.IMEI) != 15 || strings.Trim(m.IMEI, "0123456789") != "") {
			bad("modem[%d].imei: must be 15 digits", i)
		} else if m.IMEI != "" && names["imei "+m.IMEI] {
			bad("modem[%d].imei: another modem has it", i)
		}
		names["imei "+m.IMEI] = true
		if strings.ContainsRune(m.PIN, '/') {
			bad("modem[%d].pin: must be the name of a credential, not a path", i)
		}
		if err := m.Settings.Check(); err != nil {
			bad("modem[%d].%w", i, err)
		}
	}
	for i, w := range c.Witnesses {
		if err := w.check(); err != nil {
			bad("witness[%d]: %w", i, err)
		}
		if names["witness "+w.Name] {
			bad("witness[%d].name: another witness has it", i)
		}
		names["witness "+w.Name] = true
	}
	if c.ATNA != nil {
		if err := c.ATNA.check(); err != nil {
			bad("atna: %w", err)
		}
	}
	if c.Directory != nil {
		if err := c.Directory.check(); err != nil {
			bad("directory: %w", err)
		}
	}
	if c.Mail != nil {
		if err := c.Mail.check(); err != nil {
			bad("mail: %w", err)
		}
	}
	for i, w := range c.Webhooks {
		if err := w.check(); err != nil {
			bad("webhook[%d]: %w", i, err)
		}
		if names["webhook "+w.Name] {
			bad("webhook[%d].name: another webhook has it", i)
		}
		names["webhook "+w.Name] = true
	}
	return errors.Join(errs...)
}
