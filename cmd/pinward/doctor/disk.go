package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of the disk: below the first nothing new is accepted (store), the second leaves weeks to act.
const (
	leastFree = 512 << 20
	soonFree  = 2 << 30
)

// Measured is how long the disk takes to make 4 KB durable.
type Measured struct{ Median, Worst time.Duration }

// syncs is how often Fsync writes; with a slow disk it takes two seconds.
const syncs = 24

// Fsync measures a folder's disk by a file that it removes again.
func Fsync(folder string) (m Measured, err error) {
	f, err := os.CreateTemp(folder, ".pinward-doctor-")
	if err != nil {
		return m, fmt.Errorf("measure disk: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	block := make([]byte, 4096)
	for i := range syncs {
		began := time.Now()
		if _, err = f.WriteAt(block, int64(i)*int64(len(block))); err == nil {
			err = f.Sync()
		}
		if err != nil {
			return m, fmt.Errorf("measure disk: %w", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return Measured{took[len(took)/2], took[len(took)-1]}, nil
}

// JudgeFsync says what the figures mean: an accepted code waits for one of them.
func JudgeFsync(m Measured) (s State, what, next string) {
	what = fmt.Sprintf("4 KB are durable after %s, at worst %s", m.Median.Round(10*time.Microsecond), m.Worst.Round(10*time.Microsecond))
	switch {
	case m.Median > 100*time.Millisecond:
		return Fail, what, "put the state folder on an SSD with power-loss protection: each code waits for this"
	case m.Median > 20*time.Millisecond:
		return Warn, what, "a faster disk answers portals sooner: SSD, not SD card or spinning disk"
	}
	return OK, what, ""
}

// networks are file systems on which a database is not safe, by their magic numbers (statfs(2)).
var networks = map[int64]string{0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB2", 0x01021994: "tmpfs"}

func (h *Host) examineDisk(_ context.Context, c Config) []Finding {
	r := report{area: "disk"}
	folder := h.path(c.Box.State)
	statfs, fsync := h.Statfs, h.Fsync
	if statfs == nil {
		statfs = unix.Statfs
	}
	if fsync == nil {
		fsync = Fsync
	}
	var st unix.Statfs_t
	switch err := statfs(folder, &st); {
	case errors.Is(err, os.ErrNotExist):
		r.add(c.Box.State, Fail, "run: systemctl start pinward, which makes it", "the state folder is not there")
		return r.list
	case err != nil:
		state, next := needRoot(err)
		r.add(c.Box.State, state, next, "it cannot be looked at")
		return r.list
	}
	free, size := st.Bavail*uint64(st.Bsize), st.Blocks*uint64(st.Bsize)
	floor := max(uint64(leastFree), size/20)
	switch {
	case free < floor:
		r.add(c.Box.State, Fail, "make space: old backups, journalctl --vacuum-size=200M", "%d MB are free, and below %d MB nothing new is accepted", free>>20, floor>>20)
	case free < max(2*floor, soonFree):
		r.add(c.Box.State, Warn, "make space before %d MB are left", "%d MB are free", free>>20)
		r.list[len(r.list)-1].Next = fmt.Sprintf("make space before %d MB are left: then nothing new is accepted", floor>>20)
	default:
		r.ok(c.Box.State, "%d MB of %d MB are free", free>>20, size>>20)
	}
	if st.Files > 0 && st.Ffree*50 < st.Files {
		r.add(c.Box.State, Warn, "look for a folder with very many small files", "fewer than 2 in 100 inodes are free")
	}
	if name := networks[int64(st.Type)]; name != "" {
		r.add(c.Box.State, Fail, "put the state folder on a disk of this machine", "is on %s, where a commit is not durable", name)
	}
	m, err := fsync(folder)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return r.list // the daemon measures it, where it runs
		}
		r.add("fsync", Fail, "look at the kernel's messages: journalctl -k -p warning", "the disk does not take a write")
		return r.list
	}
	s, what, next := JudgeFsync(m)
	r.add("fsync", s, next, "%s", what)
	return r.list
}
