package doctor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is a program that runs.
type process struct {
	pid  int
	name string // comm, at most 15 characters
}

// processes lists those of the machine.
func (h *Host) processes() (list []process) {
	dirs, err := os.ReadDir(h.path("/proc"))
	if err != nil {
		return nil
	}
	for _, d := range dirs {
		if pid, err := strconv.Atoi(d.Name()); err == nil {
			list = append(list, process{pid, h.read("/proc/" + d.Name() + "/comm")})
		}
	}
	return list
}

// running tells whether a program of that name runs.
func (h *Host) running(names ...string) string {
	for _, p := range h.processes() {
		for _, name := range names {
			if p.name == name || len(name) > 15 && p.name == name[:15] {
				return name
			}
		}
	}
	return ""
}

// holders are the programs that have a file open, by what the links of /proc/PID/fd lead to. Only root
// sees those of others: all is false where some process could not be looked into.
func (h *Host) holders(target string) (list []process, all bool) {
	all = true
	for _, p := range h.processes() {
		dir := h.path("/proc/" + strconv.Itoa(p.pid) + "/fd")
		links, err := os.ReadDir(dir)
		if err != nil {
			all = all && os.IsNotExist(err)
			continue
		}
		for _, l := range links {
			if to, err := os.Readlink(filepath.Join(dir, l.Name())); err == nil && to == target {
				list = append(list, p)
				break
			}
		}
	}
	return list, all
}

func names(list []process) string {
	var out []string
	for _, p := range list {
		out = append(out, p.name+" (pid "+strconv.Itoa(p.pid)+")")
	}
	return strings.Join(out, ", ")
}
