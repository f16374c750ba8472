package main

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The part of io_uring's interface that one request needs; linux/io_uring.h.
const (
	opSocket   = 45 // IORING_OP_SOCKET
	offSQ      = 0
	offCQ      = 0x8000000
	offSQEs    = 0x10000000
	getEvents  = 1
	sizeOfSQE  = 64
	sizeOfCQE  = 16
	mapFlags   = unix.MAP_SHARED | unix.MAP_POPULATE
	mapRights  = unix.PROT_READ | unix.PROT_WRITE
	ringLength = 4096
)

type offsets struct {
	head, tail, mask, entries, a, b, c, resv uint32
	addr                                     uint64
}

// params is struct io_uring_params. For the completions offsets.a is the overflow and b where they begin; for the
// submissions c is where their index begins.
type params struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	resv                                                 [3]uint32
	sq, cq                                               offsets
}

// ring makes an internet socket past a filter of system calls: the kernel makes it for the ring.
func ring() error {
	var p params
	fd, _, no := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&p)), 0)
	if no != 0 {
		return no
	}
	defer unix.Close(int(fd))
	var maps [3][]byte
	for i, off := range []int64{offSQ, offCQ, offSQEs} {
		m, err := unix.Mmap(int(fd), off, ringLength, mapRights, mapFlags)
		if err != nil {
			return fmt.Errorf("map ring: %w", err)
		}
		defer unix.Munmap(m)
		maps[i] = m
	}
	sq, cq, sqe := maps[0], maps[1], maps[2]
	sqe[0] = opSocket
	*(*int32)(unsafe.Pointer(&sqe[4])) = unix.AF_INET
	*(*uint64)(unsafe.Pointer(&sqe[8])) = unix.SOCK_STREAM
	*(*uint32)(unsafe.Pointer(&sq[p.sq.c])) = 0
	*(*uint32)(unsafe.Pointer(&sq[p.sq.tail]))++
	if _, _, no := unix.Syscall6(unix.SYS_IO_URING_ENTER, fd, 1, 1, getEvents, 0, 0); no != 0 {
		return no
	}
	if *(*uint32)(unsafe.Pointer(&cq[p.cq.tail])) == 0 {
		return errors.New("no completion")
	}
	got := *(*int32)(unsafe.Pointer(&cq[p.cq.b+8]))
	if got < 0 {
		return syscall.Errno(-got)
	}
	return unix.Close(int(got))
}
