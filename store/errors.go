package store

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
)

// Errors that a caller branches on. Their texts hold no key, no value and no name from a record.
var (
	// ErrNoEntry means that a transaction wrote to a table that is not [Bookkeeping] and recorded no
	// entry; it was rolled back.
	ErrNoEntry = errors.New("transaction changed a record and left no audit entry")
	// ErrFull means that too little space is left on the disk.
	ErrFull = errors.New("disk is full")
	// ErrLocked means that another process has the store open.
	ErrLocked = errors.New("another process holds the store")
	// ErrNewer means that a newer version of the program wrote the store.
	ErrNewer = errors.New("store was written by a newer version")
	// ErrCorrupt means that bytes on the disk are not what was written.
	ErrCorrupt = errors.New("store is damaged")
	// ErrWrongKey means that the keys given do not open the store.
	ErrWrongKey = errors.New("keys do not open this store")
	// ErrKeyGone means that a code key was dropped, or never was.
	ErrKeyGone = errors.New("code key is gone")
	// ErrShredded means that the body of an entry is gone for good, since its key was dropped. Its
	// header and its place in the tree stay.
	ErrShredded = errors.New("entry was shredded")
	// ErrReadOnly means that a View tried to change something.
	ErrReadOnly = errors.New("transaction is read-only")
	// ErrPanicked means that a transaction's function panicked; it was rolled back.
	ErrPanicked = errors.New("transaction panicked")
	// ErrBusy means that the file is being rewritten already: it rolls, is compacted, or its index is
	// rotated.
	ErrBusy = errors.New("the file is being rewritten already")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("store is closed")
)

// Stop ends [Table.Each] and [Tx.Entries] early without an error.
//
//lint:ignore ST1012 a control word, as fs.SkipAll is, and no failure
var Stop = errors.New("stop")

// as makes an error one of a kind, and says so once.
func as(kind, err error) error {
	if errors.Is(err, kind) {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// damageOf says what is damaged, for a place that says already that something is.
func damageOf(err error) string {
	return strings.TrimPrefix(err.Error(), ErrCorrupt.Error()+": ")
}

// errPages is an ErrCorrupt where a file does not hang together as a database: it is put aside.
var errPages = fmt.Errorf("%w: the file is shorter than it says, or its pages do not hang together", ErrCorrupt)

// errTxDone is what every method of a Tx answers after its function has returned.
var errTxDone = errors.New("transaction is over")

// isFull tells "no space" from every other trouble of a write.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// panicError turns a recovered value into an error that names the place and the type but never the
// value, which may quote a record. A fault of the memory map is a file that was cut.
func panicError(v any) error {
	if f, ok := v.(interface{ Addr() uintptr }); ok && f.Addr() != 0 {
		return errPages
	}
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") {
			if strings.Contains(f.Function, "go.etcd.io/bbolt") {
				return errPages
			}
			return fmt.Errorf("%w with a %T in %s, line %d", ErrPanicked, v, f.Function, f.Line)
		}
		if !more {
			return fmt.Errorf("%w with a %T", ErrPanicked, v)
		}
	}
}
