package doctor

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// account is a user of the machine with its groups.
type account struct {
	name   string
	uid    int
	gids   []int
	groups []string // names of gids
}

// account finds a user in /etc/passwd and /etc/group; ok is false where there is none.
func (h *Host) account(name string) (a account, ok bool) {
	for line := range strings.Lines(h.read("/etc/passwd")) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 || f[0] != name {
			continue
		}
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err1 != nil || err2 != nil {
			continue
		}
		a, ok = account{name: name, uid: uid, gids: []int{gid}}, true
	}
	if !ok {
		return a, false
	}
	for line := range strings.Lines(h.read("/etc/group")) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 {
			continue
		}
		gid, err := strconv.Atoi(f[2])
		if err != nil {
			continue
		}
		own := gid == a.gids[0]
		if own || slices.Contains(strings.Split(f[3], ","), name) {
			if !own {
				a.gids = append(a.gids, gid)
			}
			a.groups = append(a.groups, f[0])
		}
	}
	return a, true
}

// groupName is the name of a group, or its number.
func (h *Host) groupName(gid int) string {
	for line := range strings.Lines(h.read("/etc/group")) {
		if f := strings.Split(line, ":"); len(f) >= 3 && f[2] == strconv.Itoa(gid) {
			return f[0]
		}
	}
	return strconv.Itoa(gid)
}

// mayUse tells whether the account may do what bits say (4 read, 2 write) with a file, by its mode alone.
// how is the file's owner, group and mode, for people.
func (h *Host) mayUse(a account, fi os.FileInfo, bits uint32) (may bool, how string) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return true, ""
	}
	mode := uint32(fi.Mode().Perm())
	how = fmt.Sprintf("group %s, mode %04o", h.groupName(int(st.Gid)), mode)
	switch {
	case a.uid == 0:
		return true, how
	case int(st.Uid) == a.uid:
		return mode>>6&bits == bits, how
	case slices.Contains(a.gids, int(st.Gid)):
		return mode>>3&bits == bits, how
	}
	return mode&bits == bits, how
}
