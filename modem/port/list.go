package port

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Roots are the trees that List reads; "" is the system's own.
type Roots struct {
	Dev string // /dev
	Sys string // /sys
}

// Device is one serial device that may have a modem behind it.
type Device struct {
	// Path is the name to configure: one that stays when the device comes back under another node (reference 3). It is the node itself
	// only if nothing names it better; Stable tells.
	Path   string
	Stable bool
	Node   string   // what Path leads to now, as /dev/ttyUSB2
	Names  []string // all stable names, best first

	// What sysfs tells of a device on USB; "" and -1 if it is none, or sysfs cannot be read.
	VendorID, ProductID string // four hexadecimal digits
	Interface           int    // bInterfaceNumber
	Manufacturer        string // iManufacturer and iProduct, as the device writes them
	Product             string

	Use Use // what that interface is known to be for

	usb string // the device's place in sysfs, which its interfaces share; "" if it is not on USB
}

// List finds the serial devices that may have a modem behind them: ttyUSB*, ttyACM*, and whatever /dev/serial and /dev/pinward
// name. Each device comes once. It opens none of them.
func List(r Roots) ([]Device, error) {
	if r.Dev == "" {
		r.Dev = "/dev"
	}
	if r.Sys == "" {
		r.Sys = "/sys"
	}
	// by-path tells two identical sticks apart, which share one by-id link where they have no serial number (reference 3).
	var devices []Device
	for _, dir := range []string{"serial/by-path", "pinward", "serial/by-id"} {
		names, err := os.ReadDir(filepath.Join(r.Dev, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list serial ports: %w", err)
		}
		for _, n := range names { // sorted
			name := filepath.Join(r.Dev, dir, n.Name())
			node, err := filepath.EvalSymlinks(name)
			if err != nil {
				continue // it left while we looked
			}
			if info, err := os.Stat(node); err != nil || info.IsDir() {
				continue
			}
			devices = named(devices, node, name)
		}
	}
	for _, pattern := range []string{"ttyUSB*", "ttyACM*"} {
		nodes, err := filepath.Glob(filepath.Join(r.Dev, pattern))
		if err != nil {
			return nil, fmt.Errorf("list serial ports: %w", err)
		}
		for _, node := range nodes {
			devices = named(devices, node, "")
		}
	}
	for i := range devices {
		d := &devices[i]
		d.Path = d.Node
		if d.Stable = len(d.Names) > 0; d.Stable {
			d.Path = d.Names[0]
		}
		d.describe(r.Sys)
	}
	slices.SortFunc(devices, func(a, b Device) int { return strings.Compare(a.Path, b.Path) })
	return devices, nil
}

// named adds a name to the device behind node, which is new or known.
func named(devices []Device, node, name string) []Device {
	i := slices.IndexFunc(devices, func(d Device) bool { return d.Node == node })
	if i < 0 {
		i = len(devices)
		devices = append(devices, Device{Node: node, Interface: -1})
	}
	if name != "" {
		devices[i].Names = append(devices[i].Names, name)
	}
	return devices
}

// describe reads what sysfs knows of the device. The interface is the tty's own device for ttyACM, and one above it for ttyUSB.
func (d *Device) describe(sys string) {
	// EvalSymlinks also of the root: a parent is compared with it.
	root, err := filepath.EvalSymlinks(sys)
	if err != nil {
		return
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(root, "class/tty", filepath.Base(d.Node), "device"))
	if err != nil {
		return
	}
	for ; strings.HasPrefix(dir, root+string(filepath.Separator)); dir = filepath.Dir(dir) {
		number, err := strconv.ParseUint(attribute(dir, "bInterfaceNumber"), 16, 8)
		if err != nil {
			continue
		}
		usb := filepath.Dir(dir)
		d.usb = usb
		d.Interface = int(number)
		d.VendorID, d.ProductID = attribute(usb, "idVendor"), attribute(usb, "idProduct")
		d.Manufacturer, d.Product = attribute(usb, "manufacturer"), attribute(usb, "product")
		d.Use = useOf(d.VendorID, d.ProductID, d.Interface)
		return
	}
}

// attribute is one line of sysfs, "" if there is none.
func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
