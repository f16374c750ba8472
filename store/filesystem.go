package store

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrFileSystem means that the folder is on a file system that does not keep the store's promises.
var ErrFileSystem = errors.New("file system is not fit for the store")

// Magic numbers of file systems, from linux/magic.h and the headers of their drivers.
const (
	magicExt  = 0xef53 // ext2, ext3 and ext4
	magicTmp  = 0x01021994
	magicRAM  = 0x858458f6
	magicFUSE = 0x65735546
)

// networked are file systems on other machines: their locks, their order of writes and what a sync
// means depend on a server and a network, and a memory map is not told of what others write.
var networked = map[int64]string{
	0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x01021997: "9P",
	0x5346414f: "AFS", 0x6b414653: "AFS", 0x73757245: "Coda", 0x00c36400: "Ceph", 0x564c: "NCP",
}

// mount is what is known of where a folder stands.
type mount struct {
	magic   int64
	release string // of the kernel
}

// askMount asks the kernel.
func askMount(dir string) (m mount, err error) {
	var st syscall.Statfs_t
	var u syscall.Utsname
	if err := errors.Join(syscall.Statfs(dir, &st), syscall.Uname(&u)); err != nil {
		return m, err
	}
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		m.release += string(rune(c))
	}
	m.magic = int64(st.Type) & 0xffffffff // 32 bit, and sign-extended on some machines
	return m, nil
}

// fit refuses a file system that cannot hold a store, and returns a warning about one that may lose it.
func (m mount) fit() (warning string, err error) {
	if name, ok := networked[m.magic]; ok {
		return "", fmt.Errorf("%w: %s is a network file system; put the folder on a disk of this machine", ErrFileSystem, name)
	}
	switch {
	case m.magic == magicTmp, m.magic == magicRAM:
		return "the store is in memory: it is lost when this machine stops", nil
	case m.magic == magicFUSE:
		return "the store is on a file system outside the kernel: whether a sync keeps anything is up to that", nil
	case m.magic == magicExt && fastCommitLoses(m.release):
		return "ext4 of this kernel can lose what was synced when the power fails, if its feature fast_commit is on: " +
			"see whether tune2fs -l lists it, and update the kernel or turn it off; distributions may have mended theirs", nil
	}
	return "", nil
}

// fastCommitLoses tells kernels whose ext4 has fast commits without their later corrections: 5.10 up to
// 5.16, but for 5.10.94 and 5.15.27 and what follows them. Whether a file system uses the feature can be
// read by root alone.
func fastCommitLoses(release string) bool {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(release, "%d.%d.%d", &major, &minor, &patch); n < 2 || major != 5 {
		return false
	}
	switch minor {
	case 10:
		return patch < 94
	case 15:
		return patch < 27
	}
	return minor >= 11 && minor <= 16
}

// checkMount refuses an unfit file system and warns of a doubtful one.
func (s *Store) checkMount(dir string) error {
	m, err := s.mounted(dir)
	if err != nil {
		return fmt.Errorf("ask for file system: %w", err)
	}
	warning, err := m.fit()
	if warning != "" {
		s.log.Warn(warning, "folder", dir)
	}
	return err
}
