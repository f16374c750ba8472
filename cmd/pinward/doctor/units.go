package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pinward/systemd"
)

// unit is what systemd says of one, by `systemctl show`.
type unit map[string]string

// unitProperties are those that the doctor asks for.
var unitProperties = []string{
	"Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath", "DropInPaths", "NRestarts", "Result",
	"ExecMainStatus", "NeedDaemonReload", "IPAddressAllow", "IPAddressDeny", "Listen", "StatusText",
}

// show asks systemd for a unit.
func (h *Host) show(ctx context.Context, name string) (unit, error) {
	out, err := h.run(ctx, "systemctl", "show", "--no-pager", "--property="+strings.Join(unitProperties, ","), name)
	if err != nil {
		return nil, err
	}
	u := unit{}
	for line := range strings.Lines(out) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			if u[k] != "" && v != "" { // Listen comes once for each address
				v = u[k] + " " + v
			}
			u[k] = v
		}
	}
	return u, nil
}

func (u unit) dropIns() []string { return strings.Fields(u["DropInPaths"]) }

// optional are the units that a box may do without: nothing goes out without the relay, and backups may be
// made otherwise; health tells when there are none.
var optional = []string{systemd.RelayService, systemd.RelaySocket, systemd.BackupService, systemd.BackupTimer}

// softened are settings of the daemon's unit that a drop-in should not take back, with the values that do.
var softened = map[string][]string{
	"PrivateNetwork": {"no", "false", "0"}, "NoNewPrivileges": {"no", "false", "0"}, "PrivateUsers": {"no", "false", "0"},
	"RestrictAddressFamilies": {"", "AF_INET", "AF_INET6"}, "SystemCallFilter": {""}, "DevicePolicy": {"auto", "strict"},
	"IPAddressDeny": {""}, "ProtectSystem": {"no", "false", "0"}, "User": {"root", "0"},
}

// examineUnits looks at each unit: enabled, running, shadowed, changed by a drop-in.
func (h *Host) examineUnits(ctx context.Context, _ Config) []Finding {
	r := report{area: "unit"}
	if !h.exists("/run/systemd/system") { // sd_booted(3)
		r.add("systemd", Unknown, "", "this machine was not booted with systemd: units and their address lists are not looked at")
		return r.list
	}
	for _, name := range systemd.Names() {
		u, err := h.show(ctx, name)
		if err != nil || u["LoadState"] == "" {
			r.add(name, Unknown, "", "systemd does not answer")
			continue
		}
		h.examineUnit(&r, name, u)
	}
	return r.list
}

func (h *Host) examineUnit(r *report, name string, u unit) {
	before := len(r.list)
	extra := slices.Contains(optional, name)
	logs := "run: journalctl -u " + name + " -n 50"
	switch {
	case u["LoadState"] == "not-found" && extra:
		r.ok(name, "is not installed")
		return
	case u["LoadState"] == "not-found":
		r.add(name, Fail, "install the package, or run: pinward service install", "is not installed")
		return
	case u["LoadState"] == "masked":
		r.add(name, Fail, "run: systemctl unmask "+name, "is masked, so nothing can start it")
		return
	case u["LoadState"] != "loaded":
		r.add(name, Fail, "run: systemd-analyze verify "+name, "cannot be loaded (%s)", u["LoadState"])
		return
	}
	switch u["ActiveState"] {
	case "failed":
		r.add(name, Fail, logs+", mend it, then: systemctl reset-failed "+name+" && systemctl start "+name, "has failed (%s, exit status %s)", u["Result"], u["ExecMainStatus"])
	case "activating":
		r.add(name, Warn, logs, "is starting and not ready (%s)", u["SubState"])
	case "inactive":
		if name == systemd.Service || strings.HasSuffix(name, ".socket") && !extra {
			r.add(name, Fail, "run: systemctl start "+name, "does not run")
		}
	}
	if state := u["UnitFileState"]; state == "disabled" && !extra {
		r.add(name, Warn, "run: systemctl enable "+name, "is not enabled: it will not be there after a restart of the machine")
	}
	if path := u["FragmentPath"]; strings.HasPrefix(path, "/etc/") && h.exists("/usr/lib/systemd/system/"+name) {
		r.add(name, Fail, "run: rm "+path+" && systemctl daemon-reload && systemctl restart "+name, "%s stands over the unit of the package, and over its hardening", path)
	}
	for _, path := range u.dropIns() {
		if bad := h.softens(path); name == systemd.Service && bad != "" {
			r.add(name, Warn, "take it out of "+path+", then: systemctl daemon-reload && systemctl restart "+name, "%s in a drop-in takes back what protects the box", bad)
		}
	}
	if u["NeedDaemonReload"] == "yes" {
		r.add(name, Warn, "run: systemctl daemon-reload", "was changed on the disk, and systemd has not read it")
	}
	if n, _ := strconv.Atoi(u["NRestarts"]); n > 0 && name == systemd.Service {
		r.add(name, Warn, logs, "was restarted by itself %d times since the machine started", n)
	}
	if len(r.list) > before {
		return
	}
	how := u["ActiveState"]
	if n := len(u.dropIns()); n > 0 {
		var base []string
		for _, p := range u.dropIns() {
			base = append(base, filepath.Base(p))
		}
		how += fmt.Sprintf(", with %s", strings.Join(base, ", "))
	}
	r.ok(name, "%s", how)
}

// softens names the setting of a drop-in that takes protection back, "" if there is none.
func (h *Host) softens(path string) string {
	for _, s := range settings(h.read(path)) {
		for _, bad := range softened[s.key] {
			if s.value == bad || bad != "" && slices.Contains(strings.Fields(s.value), bad) {
				return s.key + "=" + s.value
			}
		}
	}
	return ""
}

// setting is one line of a unit file.
type setting struct{ section, key, value string }

// settings reads the lines of a unit file, systemd.syntax(7): sections, comments, continued lines.
func settings(text string) (list []setting) {
	section := ""
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		default:
			if k, v, ok := strings.Cut(line, "="); ok {
				list = append(list, setting{section, strings.TrimSpace(k), strings.TrimSpace(v)})
			}
		}
	}
	return list
}
