package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

// TestBundleHoldsNothingThatNamesAnybody: what stands in configuration and log in any form that people write
// it in is a token, the same one in both, or gone.
func TestBundleHoldsNothingThatNamesAnybody(t *testing.T) {
	m := newMachine(t)
	m.change("etc/pinward/pinward.toml", `relay = "siem"`, "relay = \"siem\"\ntls = \"siem.hospital.example\"\nfrom = \"jane.doe@hospital.example\"\npassword = \"hunter2hunter2\"\nimei = \"356938035643809\"")
	m.says["journalctl"] = `2026-11-22T13:54:34+0000 box pinwardd[200]: msg="refused" address=10.1.2.3 peer=siem.hospital.example
2026-11-22T13:54:35+0000 box pinwardd[200]: somebody wrote +1 617 555 1234, (617) 555-1234, 617-555-1234, 16175551234 and 6175551234
2026-11-22T13:54:36+0000 box pinwardd[200]: from fd00:77::12 and 127.0.0.1, mail jane.doe@hospital.example
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEG
-----END PRIVATE KEY-----`
	k := NewMasker()
	k.LearnHost("pinward-box-77")
	parts := m.Parts(t.Context(), configFile, k)
	var file bytes.Buffer
	if err := WriteBundle(&file, "pinward-1", today, parts); err != nil {
		t.Fatal(err)
	}
	all := unpacked(t, &file)
	text := all["pinward-1/config/pinward.toml"] + all["pinward-1/config/relay.toml"] + all["pinward-1/log/journal"] + all["pinward-1/units/pinward.socket"]
	for _, secret := range []string{
		"10.1.2.3", "10.1.2.4", "siem.hospital.example", "jane.doe", "hunter2", "356938035643809", "617", "555", "1234", "fd00:77", "MIGHAg",
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the bundle holds %q:\n%s", secret, text)
		}
	}
	if !strings.Contains(text, "127.0.0.1") || !strings.Contains(text, "13:54:35") || !strings.Contains(text, `id = "box-1"`) || !strings.Contains(text, "50-pinward-access.conf") {
		t.Errorf("too much is gone:\n%s", text)
	}
	host := "<host-2>" // the first is the machine itself
	if !strings.Contains(all["pinward-1/config/relay.toml"], host) || !strings.Contains(all["pinward-1/log/journal"], "peer="+host) {
		t.Errorf("one machine is not one token:\n%s", text)
	}
	for _, want := range []string{"config/relay.toml", "system/os-release", "system/clock", "units/pinward.service", "devices/usb", "log/journal"} {
		if _, ok := all["pinward-1/"+want]; !ok {
			t.Errorf("the bundle lacks %s", want)
		}
	}
}

// TestMaskerLeavesFigures: what support needs stays: times, versions, hashes, sizes, device names.
func TestMaskerLeavesFigures(t *testing.T) {
	for _, s := range []string{
		"2026-11-22T13:54:34.123456+0000", "pinward 1.2.3", "store_bytes 1.073741824e+09", "seq=123456789", "0123456789abcdef0123456789abcdef01234567",
		"/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.2-port0", "[::]:8443", "took=12.345ms", "-71 dBm", "1.7950423e+09",
	} {
		if got := NewMasker().Mask(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func unpacked(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(b)
	}
}
