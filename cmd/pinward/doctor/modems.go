package doctor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pinward/modem/port"
)

// makers are the USB vendor ids of the modems that Pinward drives, as packaging/udev has them.
var makers = map[string]string{"2c7c": "Quectel", "1e0e": "SIMCom", "12d1": "Huawei", "1bc7": "Telit", "1199": "Sierra Wireless"}

// converters are serial converters that brltty takes for Braille displays.
var converters = []string{"10c4", "0403", "1a86", "067b"}

// udevRules keep other programs from modems, and give the daemon its rights to them.
const udevRules = "70-pinward.rules"

// usbDevice is a device on the bus.
type usbDevice struct{ place, vendor, product, name string }

func (h *Host) usb() (list []usbDevice) {
	dirs, _ := filepath.Glob(h.path("/sys/bus/usb/devices/*"))
	for _, d := range dirs {
		at := "/sys/bus/usb/devices/" + filepath.Base(d) + "/"
		if v := h.read(at + "idVendor"); v != "" {
			list = append(list, usbDevice{filepath.Base(d), v, h.read(at + "idProduct"), strings.TrimSpace(h.read(at+"manufacturer") + " " + h.read(at+"product"))})
		}
	}
	return list
}

// examineModems looks at the way from the bus to the daemon: device, driver, port, name, rights, and who
// else has it.
func (h *Host) examineModems(ctx context.Context, c Config) []Finding {
	r := report{area: "modem"}
	ports, err := port.List(port.Roots{Dev: h.path("/dev"), Sys: h.path("/sys")})
	if err != nil {
		r.add("", Unknown, "", "the serial ports cannot be listed")
	}
	h.examineBus(&r, ports)
	h.examineRules(&r)
	h.examineRivals(ctx, &r, ports)
	if !c.Known {
		return r.list
	}
	if len(c.Modem) == 0 {
		r.add("", Fail, "run: pinward modem probe, and put what it prints into "+c.Path+", then: systemctl restart pinward", "no modem is configured")
	}
	for _, m := range c.Modem {
		h.examineModem(&r, c, m, ports)
	}
	return r.list
}

// examineBus tells whether there are modems on the bus, and whether the kernel has a driver for them.
func (h *Host) examineBus(r *report, ports []port.Device) {
	var found []string
	for _, d := range h.usb() {
		maker, ok := makers[d.vendor]
		if !ok {
			continue
		}
		what := strings.TrimSpace(maker + " " + d.vendor + ":" + d.product)
		found = append(found, what)
		if slices.ContainsFunc(ports, func(p port.Device) bool { return p.VendorID == d.vendor && p.ProductID == d.product }) {
			continue
		}
		r.add(what, Fail, "run: modprobe option && echo '"+d.vendor+" "+d.product+" ff' > /sys/bus/usb-serial/drivers/option1/new_id; if it shows a disc (lsblk), install usb-modeswitch",
			"is on the bus at %s and has no serial port: the kernel has no driver for it, or it is still the disc with its drivers", d.place)
	}
	if len(found) == 0 {
		state, next := Warn, "look at its cable, at the power of the hub and at the mains adapter (lsusb lists the bus)"
		if len(ports) > 0 {
			return // on a converter, or not on USB: the ports speak for themselves
		}
		r.add("usb", state, next, "there is no modem of a known maker on the bus")
		return
	}
	r.ok("usb", "%s", strings.Join(found, ", "))
}

// examineRules looks for the rules of udev, and for an empty file over them.
func (h *Host) examineRules(r *report) {
	own := "/etc/udev/rules.d/" + udevRules
	at := ""
	for _, dir := range []string{"/usr/lib/udev/rules.d/", "/lib/udev/rules.d/", "/etc/udev/rules.d/"} {
		if h.exists(dir + udevRules) {
			at = dir + udevRules
		}
	}
	switch {
	case at == "":
		r.add("udev", Fail, "install packaging/udev/"+udevRules+" into /etc/udev/rules.d, then: udevadm control --reload && udevadm trigger", "the rules that give modems to the daemon, and keep others away, are not installed")
	case at == own && !strings.Contains(h.read(own), "ID_MM_DEVICE_IGNORE"):
		r.add("udev", Fail, "run: rm "+own+" && udevadm control --reload && udevadm trigger", "%s stands over the rules of the package and does not keep ModemManager away", own)
	default:
		r.ok("udev", "%s", at)
	}
}

// examineRivals tells of the two programs that take modems away.
func (h *Host) examineRivals(ctx context.Context, r *report, ports []port.Device) {
	ruled := !slices.ContainsFunc(r.list, func(f Finding) bool { return f.Name == "udev" && f.State != OK })
	unknown := slices.ContainsFunc(ports, func(p port.Device) bool { return makers[p.VendorID] == "" })
	switch mm := h.running("ModemManager"); {
	case mm == "":
		r.ok("ModemManager", "does not run")
	case !ruled:
		r.add("ModemManager", Fail, "install the udev rules, or run: systemctl disable --now ModemManager", "runs, and nothing keeps it from probing the modems: texts are garbled")
	case unknown:
		r.add("ModemManager", Warn, "where nothing else needs it run: systemctl disable --now ModemManager", "runs; the udev rules keep it from known makers, and there is a port of another")
	default:
		r.ok("ModemManager", "runs, and the udev rules keep it away")
	}
	onConverter := slices.ContainsFunc(ports, func(p port.Device) bool { return slices.Contains(converters, p.VendorID) })
	brltty := h.running("brltty") != "" || h.exists("/usr/lib/udev/rules.d/85-brltty.rules") || h.exists("/lib/udev/rules.d/85-brltty.rules")
	if brltty && onConverter && !h.exists("/etc/udev/rules.d/85-brltty.rules") {
		r.add("brltty", Warn, "run: apt-get remove brltty, or: ln -s /dev/null /etc/udev/rules.d/85-brltty.rules", "takes serial converters for Braille displays, and one is plugged in")
	}
}

// examineModem looks at the port of one configured modem.
func (h *Host) examineModem(r *report, c Config, m Port, ports []port.Device) {
	node, err := filepath.EvalSymlinks(h.path(m.Device))
	if err != nil {
		h.missing(r, c, m, ports)
		return
	}
	fi, err := os.Stat(node)
	if err != nil {
		h.missing(r, c, m, ports)
		return
	}
	before := len(r.list)
	if base := filepath.Base(m.Device); strings.HasPrefix(base, "ttyUSB") || strings.HasPrefix(base, "ttyACM") {
		r.add(m.Name, Warn, "put the name into "+c.Path+" that pinward modem probe prints", "%s is another port after the modem resets", m.Device)
	}
	if a, ok := h.account("pinward"); !ok {
		r.add(m.Name, Unknown, "install the package, or run: systemd-sysusers", "there is no user pinward, whose rights to the port could be judged")
	} else if may, how := h.mayUse(a, fi, 6); !may {
		r.add(m.Name, Fail, "run: udevadm control --reload && udevadm trigger --action=change --subsystem-match=tty; where no rule knows the maker: usermod -aG "+groupIn(how)+" pinward, then restart", "the daemon may not open %s (%s)", m.Device, how)
	}
	if list, _ := h.holders(node); len(list) > 0 {
		others := slices.DeleteFunc(list, func(p process) bool { return p.name == "pinwardd" })
		if len(others) > 0 {
			r.add(m.Name, Fail, "end it: systemctl stop "+others[0].name+", or: kill "+strconv.Itoa(others[0].pid), "%s has %s open", names(others), m.Device)
		}
	}
	if len(r.list) == before {
		r.ok(m.Name, "its port is there (%s) and the daemon may open it", h.shown(node))
	}
}

func groupIn(how string) string {
	how = strings.TrimPrefix(how, "group ")
	name, _, _ := strings.Cut(how, ",")
	return name
}

// missing says why a configured port is not there.
func (h *Host) missing(r *report, c Config, m Port, ports []port.Device) {
	if len(ports) == 0 {
		r.add(m.Name, Fail, "look at its cable, at the power of the hub and at the kernel's messages: journalctl -k -g usb", "%s is not there, nor any other serial port", m.Device)
		return
	}
	var free []string
	for _, p := range ports {
		if !slices.ContainsFunc(c.Modem, func(o Port) bool { return slices.Contains(p.Names, o.Device) || p.Path == o.Device }) {
			free = append(free, h.shown(p.Path))
		}
	}
	if len(free) == 0 {
		r.add(m.Name, Fail, "look at its cable and at the power of the hub", "%s is not there; the other ports belong to the other modems", m.Device)
		return
	}
	next := "run: pinward modem probe, and put its device into " + c.Path
	if m.IMEI == "" {
		next += "; with its imei there it is found by itself"
	}
	r.add(m.Name, Fail, next, "%s is not there; it may be behind one of: %s", m.Device, strings.Join(free[:min(len(free), 4)], ", "))
}
