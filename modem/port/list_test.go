package port

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tree is a made-up /dev and /sys.
type tree struct {
	t *testing.T
	r Roots
}

func newTree(t *testing.T) tree {
	dir := t.TempDir()
	return tree{t, Roots{Dev: filepath.Join(dir, "dev"), Sys: filepath.Join(dir, "sys")}}
}

func (tr tree) write(path, content string) {
	tr.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) link(path, target string) {
	tr.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		tr.t.Fatal(err)
	}
}

// usb plugs one interface in: a node, its place in sysfs as the kernel arranges it, and its by-path link.
func (tr tree) usb(node, place, vendor, product, number string) {
	tr.t.Helper()
	tr.write(filepath.Join(tr.r.Dev, node), "")
	device := filepath.Join(tr.r.Sys, "devices/pci0000:00/usb1", place)
	iface := filepath.Join(device, place+":1."+number)
	tr.write(filepath.Join(device, "idVendor"), vendor+"\n")
	tr.write(filepath.Join(device, "idProduct"), product+"\n")
	tr.write(filepath.Join(device, "manufacturer"), "Maker\n")
	tr.write(filepath.Join(device, "product"), "Module\n")
	tr.write(filepath.Join(iface, "bInterfaceNumber"), number+"\n")
	target := iface // cdc-acm: the tty hangs below the interface itself
	if node[:6] == "ttyUSB" {
		target = filepath.Join(iface, node)
		tr.write(filepath.Join(target, "port_number"), "0\n")
	}
	tr.link(filepath.Join(tr.r.Sys, "class/tty", node, "device"), target)
	tr.link(filepath.Join(tr.r.Dev, "serial/by-path", "pci-0000:00:14.0-usb-0:"+place+":1."+number+"-port0"), "../../"+node)
}

func (tr tree) list() []Device {
	tr.t.Helper()
	devices, err := List(tr.r)
	if err != nil {
		tr.t.Fatal(err)
	}
	return devices
}

// find is the device behind a node.
func (tr tree) find(node string) Device {
	tr.t.Helper()
	devices := tr.list()
	i := slices.IndexFunc(devices, func(d Device) bool { return filepath.Base(d.Node) == node })
	if i < 0 {
		tr.t.Fatalf("%s is not in %+v", node, devices)
	}
	return devices[i]
}

// The port maps of reference section 3.
func TestListKnowsTheInterfaces(t *testing.T) {
	for _, c := range []struct {
		vendor, product, number string
		use                     Use
		answers                 bool
	}{
		{"1e0e", "9001", "00", UseDiag, false}, {"1e0e", "9001", "02", UseAT, true}, {"1e0e", "9001", "04", UseAudio, false},
		{"1e0e", "9011", "04", UseAT, true}, {"1e0e", "9011", "05", UseATModem, true},
		{"2c7c", "0125", "01", UseNMEAAudio, false}, {"2c7c", "0125", "02", UseAT, true}, {"2c7c", "0121", "03", UseATModem, true},
		{"2c7c", "0306", "00", UseDiag, false},
		{"12d1", "1001", "00", UseATModem, true}, {"12d1", "1436", "01", UseAudio, false}, {"12d1", "1436", "02", UseAT, true},
		{"1bc7", "1201", "04", UseAT, true}, {"1bc7", "1201", "03", UseNMEA, false},
		{"1bc7", "0036", "00", UseUnknown, true}, {"2c7c", "6002", "00", UseUnknown, true}, {"067b", "2303", "00", UseUnknown, true},
	} {
		tr := newTree(t)
		tr.usb("ttyUSB0", "1-1", c.vendor, c.product, c.number)
		if d := tr.find("ttyUSB0"); d.VendorID != c.vendor || d.ProductID != c.product || d.Use != c.use || d.Use.MayAnswer() != c.answers {
			t.Errorf("%+v: %+v", c, d)
		}
	}
}

func TestListNamesEachDeviceOnce(t *testing.T) {
	tr := newTree(t)
	tr.usb("ttyUSB2", "1-1.2", "2c7c", "0125", "02")
	tr.usb("ttyACM0", "1-3", "1bc7", "0036", "00")
	tr.link(filepath.Join(tr.r.Dev, "serial/by-id/usb-Quectel-if02-port0"), "../../ttyUSB2")
	tr.link(filepath.Join(tr.r.Dev, "pinward/modem-1"), "../ttyUSB2")
	tr.link(filepath.Join(tr.r.Dev, "serial/by-path/pci-0000:00:14.0-usbv2-0:1.2:1.02-port0"), "../../ttyUSB2")
	tr.link(filepath.Join(tr.r.Dev, "serial/by-id/usb-gone-port0"), "../../ttyUSB9") // left on the way
	tr.write(filepath.Join(tr.r.Dev, "ttyUSB7"), "")                                 // no udev, no sysfs
	tr.write(filepath.Join(tr.r.Dev, "ttyS0"), "")                                   // a console: never offered
	if got := tr.list(); len(got) != 3 {
		t.Fatalf("%d devices: %+v", len(got), got)
	}
	d := tr.find("ttyUSB2")
	byPath := filepath.Join(tr.r.Dev, "serial/by-path")
	want := []string{
		byPath + "/pci-0000:00:14.0-usb-0:1-1.2:1.02-port0", byPath + "/pci-0000:00:14.0-usbv2-0:1.2:1.02-port0",
		filepath.Join(tr.r.Dev, "pinward/modem-1"), filepath.Join(tr.r.Dev, "serial/by-id/usb-Quectel-if02-port0"),
	}
	if !d.Stable || d.Path != want[0] || !slices.Equal(d.Names, want) {
		t.Errorf("names %q, path %q, want %q", d.Names, d.Path, want)
	}
	if d.Interface != 2 || d.Manufacturer != "Maker" || d.Product != "Module" || d.Use != UseAT {
		t.Errorf("%+v", d)
	}
	if d := tr.find("ttyACM0"); d.Interface != 0 || d.VendorID != "1bc7" {
		t.Errorf("a port of cdc-acm: %+v", d)
	}
	if d := tr.find("ttyUSB7"); d.Stable || d.Path != d.Node || d.Interface != -1 || d.Use != UseUnknown {
		t.Errorf("a bare node: %+v", d)
	}
}

// Two sticks of the same kind have one by-id link between them, and it is the second one's.
func TestListTellsTwoIdenticalSticks(t *testing.T) {
	tr := newTree(t)
	tr.usb("ttyUSB0", "1-1", "12d1", "1436", "02")
	tr.usb("ttyUSB3", "1-2", "12d1", "1436", "02")
	tr.link(filepath.Join(tr.r.Dev, "serial/by-id/usb-HUAWEI-if02-port0"), "../../ttyUSB3")
	first, second := tr.find("ttyUSB0"), tr.find("ttyUSB3")
	if !first.Stable || !second.Stable || first.Path == second.Path || filepath.Base(filepath.Dir(second.Path)) != "by-path" {
		t.Fatalf("%q and %q", first.Path, second.Path)
	}
}

func TestListOfNothing(t *testing.T) {
	if got, err := List(Roots{Dev: t.TempDir(), Sys: t.TempDir()}); err != nil || len(got) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
}

// A link to a PTY is a device as well: a simulated modem is one.
func TestListFollowsLinksToPTYs(t *testing.T) {
	tr := newTree(t)
	d := plug(t)
	tr.link(filepath.Join(tr.r.Dev, "pinward/modem-sim"), d.path)
	got := tr.list()
	if len(got) != 1 || got[0].Node != d.path || got[0].Path != filepath.Join(tr.r.Dev, "pinward/modem-sim") {
		t.Fatalf("%+v", got)
	}
}
