package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

// Options say how to open a store.
type Options struct {
	// Keys holds the root key and the signing key. Required.
	Keys Keys
	// Origin names the log in its heads, "pinward/" and the box's id. It is set when the store is
	// made, by default from the store's own random id; a later Open may leave it empty.
	Origin string
	// Existing refuses to make a store where none is: the caller knows that there was one, and an empty
	// one in its place would look like a good start and be the loss of everything.
	Existing bool
	// Keep is how long the keys of consents, policy and entries are kept after they last were in
	// effect; 0 is [Retention], and less is refused.
	Keep time.Duration
	// Log takes what the store has to tell nobody in particular; nil is slog.Default().
	Log *slog.Logger
	// HeadEvery is how often a head is signed while entries come in; 0 is one minute.
	HeadEvery time.Duration
	// LockTimeout is how long to wait for another process to let go of the file; 0 is three seconds.
	LockTimeout time.Duration
	// AcceptRollback, if set, opens a store that is older than the TPM's counter, and says who took
	// it and why; that is an entry. Otherwise such a store is [ErrRollback].
	AcceptRollback *Acceptance
	// Free tells how many bytes are free for the store, and how many there are in all; nil asks the
	// file system of dir.
	Free func(dir string) (free, total uint64, err error)

	// Strict fails a transaction that writes a key which holds a blinded value where its table does not
	// declare one ([Blinded]). It is for tests: it keeps every value that was ever blinded.
	Strict bool

	mounted    func(dir string) (mount, error) // askMount but in tests
	upkeep     time.Duration                   // keepEvery but in tests
	mergeFrom  int                             // mergeFrom but in tests
	writeMerge func(*bolt.Tx) error            // (*bolt.Tx).Commit but in tests
}

// headAfter is the number of entries after which a head is signed before its time: what has no head
// yet is read again at the next start.
const headAfter = 1 << 16

// Store is an open store. Its methods are safe for concurrent use.
type Store struct {
	path       string   // of the live file
	folder     *os.File // locked
	pool       *pool
	id         [16]byte // of this file; part of every value's additional data
	origin     string
	keys       *held
	log        *slog.Logger
	every      time.Duration
	space      space
	mounted    func(dir string) (mount, error)
	watch      watchers
	strict     *strict // nil if it is not
	opened     opened
	durable    atomic.Pointer[durable]
	anchored   atomic.Pointer[AnchorStatus] // nil until the counter was asked
	since      time.Time                    // when it was opened
	seals      [purposes]atomic.Uint64      // what was sealed under each current key
	write      func(*bolt.Tx) error         // (*bolt.Tx).Commit but in tests of its failure
	writeMerge func(*bolt.Tx) error         // the same for merges of the journal
	landing    atomic.Pointer[landing]      // the last write of the file
	rename     func(from, to string) error  // os.Rename but in tests of its failure

	// turn is taken before mu by transactions alone, so that the committer and the Views, which need
	// mu for a moment, wait for one transaction and not for all that wait for their turn.
	turn sync.Mutex
	// first is held by who takes mu next. A mutex goes to whoever runs when it is free, and that is the
	// next transaction and not the committer, which has to be woken: it would lose a millisecond each time,
	// and a commit needs mu five times.
	first      sync.Mutex
	mu         sync.Mutex
	batch      *batch // what waits; never nil
	committing *batch // what the committer is writing; nil if it is idle
	names      map[[2]string]audit.Pseudonym
	closing    bool  // only the store's own transactions go on
	closed     bool  // none does
	err        error // why nothing goes on

	edge      audit.Edge // owned by the committer
	journal   journal    // owned by the committer
	mergeFrom int        // how many changes are pending before any is merged under load

	rewrites   sync.Mutex // one rewrite of the file at a time
	rewriting  atomic.Pointer[rewrite]
	rotten     atomic.Uint64
	tally      tally
	unsigned   atomic.Pointer[Unsigned]
	scrubbing  sync.Mutex         // one scrub at a time
	scrubOnce  atomic.Bool        // the upkeep has one under way
	interludes []func(error)      // what the committer does before the next batch, or why not; owned by mu
	crash      func(string) error // in tests of crashes: fails or ends the process

	committer chan struct{} // holds a token while somebody commits, merges or runs an interlude
	wake      chan struct{} // the loop has something to do
	sign      chan struct{} // many entries have no head yet
	failed    chan struct{}
	cancel    func()         // ends these
	wg        sync.WaitGroup // head signer, anchors and upkeep
	wgc       sync.WaitGroup // the loop that commits
	heading   sync.Mutex     // one head at a time

	began       time.Time // when the log began, or its first part was frozen
	keepFor     time.Duration
	refreshed   uint32 // the day of the last Refresh; owned by the upkeep
	rollAt      int64  // rollBytes, but in tests
	rollLeast   uint64 // rollEntries, but in tests
	compactAt   int64  // compactBytes, but in tests
	coverAtOnce int    // coverAtOnce, but in tests
	upkeep      time.Duration

	broken bool // a commit panicked: the file's locks may be held for ever
}

// durable is what the last commit left, and never changes.
type durable struct {
	state
	file    *file
	format  uint32   // of the file when it was opened
	grown   bool     // it was opened with tables that are new to its cover
	txid    int      // of the commit
	pending *pending // changes over the tables of file
	edge    audit.Edge
	when    time.Time
	head    signedHead
}

// signedHead is a head's note with what is in it.
type signedHead struct {
	note []byte
	size uint64
	root [32]byte
}

// Open opens the store in the folder dir, and makes one if there is none. It checks that the log is
// the one that its last head signed, and reads again every entry that came after that.
//
// Errors to branch on: [ErrLocked], [ErrNewer], [ErrWrongKey], [ErrCorrupt], [ErrFull], [ErrFileSystem].
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	if o.Keys == nil || o.Keys.Signer() == nil {
		return nil, errors.New("open store: no keys")
	}
	if o.Keep == 0 {
		o.Keep = Retention
	}
	if o.Keep < Retention {
		return nil, errors.New("open store: keys have to be kept for six years")
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = 3 * time.Second
	}
	s := newStore(dir, o)
	if err := s.openFile(ctx, dir, o); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if s.began.IsZero() {
		s.began = time.Now().UTC().Round(0)
	}
	counting, err := s.checkCounter(ctx, o)
	s.wgc.Go(s.commitLoop)
	if err == nil {
		err = s.begin(ctx)
	}
	if err == nil && counting != nil {
		err = s.update(ctx, &Tx{own: true, actor: self}, counting)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	signing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.wg.Go(func() { s.headLoop(signing) })
	s.wg.Go(func() { s.keepLoop(signing) })
	s.wg.Go(func() { s.anchorLoop(signing) })
	return s, nil
}

// newStore makes a Store that is not open yet.
func newStore(dir string, o Options) *Store {
	s := &Store{
		keepFor: o.Keep,
		keys:    hold(o.Keys), log: o.Log, since: time.Now().UTC().Round(0), every: o.HeadEvery, write: (*bolt.Tx).Commit, writeMerge: o.writeMerge, rename: os.Rename,
		rollAt: rollBytes, rollLeast: rollEntries, compactAt: compactBytes, coverAtOnce: coverAtOnce, mergeFrom: o.mergeFrom,
		names:     map[[2]string]audit.Pseudonym{},
		committer: make(chan struct{}, 1),
		wake:      make(chan struct{}, 1), sign: make(chan struct{}, 1), failed: make(chan struct{}),
	}
	if s.upkeep = o.upkeep; s.upkeep == 0 {
		s.upkeep = keepEvery
	}
	if s.mergeFrom == 0 {
		s.mergeFrom = mergeFrom
	}
	if s.writeMerge == nil {
		s.writeMerge = (*bolt.Tx).Commit
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.every == 0 {
		s.every = time.Minute
	}
	if s.pool = (&pool{log: s.log}); o.Strict {
		s.strict = &strict{}
	}
	s.space = space{dir: dir, free: o.Free}
	if s.mounted = o.mounted; s.mounted == nil {
		s.mounted = askMount
	}
	if s.space.free == nil {
		s.space.free = statfs
	}
	return s
}

// Close lets what waits become durable, signs a last head and closes the file. Transactions that come
// later get [ErrClosed]. A head that could not be signed is an error, but the file is closed all the
// same and nothing is lost.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closing = true
	failed := s.err
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	var err error
	if failed == nil {
		s.tellGap(context.Background())
		err = s.signHead(context.Background())
	}
	return errors.Join(err, s.close())
}

// close ends the loop that commits and closes the file.
func (s *Store) close() error {
	s.mu.Lock()
	s.closing, s.closed = true, true
	s.mu.Unlock()
	s.wakeUp()
	s.wgc.Wait()
	if s.broken {
		return nil // closing would wait for a lock that nobody gives back; the process ends anyway
	}
	s.pool.close()
	if err := errors.Join(s.durable.Load().file.db.Close(), s.folder.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// wakeUp lets the loop look again.
func (s *Store) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Failed is closed when a commit failed in a way that leaves open what is on the disk. The process
// must end then: the next Open reads what is true. Nothing is accepted after it.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err is the error behind Failed, nil before it.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Fingerprint names the key that signs heads: lower-case hex SHA-256 of its SubjectPublicKeyInfo, as
// it is printed on the commissioning sheet.
func (s *Store) Fingerprint() string { return audit.Fingerprint(s.keys.Signer()) }

// Origin is the log's name in its heads.
func (s *Store) Origin() string { return s.origin }

// Stats are figures for metrics.
type Stats struct {
	Entries    uint64 // in the log
	Headed     uint64 // of these, under a signed head
	Size       int64  // of the live file, bytes; it is allocated in steps
	Segments   []SegmentInfo
	Damaged    []SegmentInfo // segments that cannot be read; the rest goes on without them
	Rotten     uint64        // reads since Open that met a damaged value
	LastCommit time.Time     // zero if none since Open
	LastEntry  time.Time
}

// Stats returns the current figures.
func (s *Store) Stats() Stats {
	d := s.durable.Load()
	st := Stats{Entries: d.size, Headed: d.head.size, Size: s.fileSize(), LastCommit: d.when, LastEntry: d.last, Rotten: s.rotten.Load()}
	for _, g := range d.file.segments {
		st.Segments = append(st.Segments, g.SegmentInfo)
		if g.bad.Load() != nil {
			st.Damaged = append(st.Damaged, g.SegmentInfo)
		}
	}
	return st
}
