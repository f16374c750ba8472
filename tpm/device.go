package tpm

import (
	"context"
	"crypto/fips140"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
)

const (
	// watchdog bounds one command. Making an ECC key takes a slow chip a second or two; what takes longer hangs.
	watchdog = 30 * time.Second
	// sequenceLimit bounds a sequence of commands whose caller set no deadline.
	sequenceLimit = 2 * time.Minute
	// cleanupLimit bounds flushing what a sequence that failed or was called off has left in the TPM.
	cleanupLimit = 5 * time.Second
	// closeGrace is how long Close lets a command in progress finish.
	closeGrace = 2 * time.Second
	// sequenceTries is how often a sequence is begun in all, where beginning again is safe.
	sequenceTries = 5
	// driverTries is how often a command is given to a driver that fails for once, see transient.
	driverTries = 3
	firstPause  = 2 * time.Millisecond
	longPause   = 200 * time.Millisecond
)

// Device is one TPM, owned by one goroutine: commands and sequences of commands never interleave, whoever asks.
// It is safe for concurrent use.
type Device struct {
	open     func() (*link, error)
	sysfs    string
	watchdog time.Duration

	// sequences is not buffered: what was sent has begun.
	sequences chan func()
	quit      chan struct{} // closed by Close
	closing   time.Time     // when; set before quit is closed
	gone      chan struct{} // closed when the actor has ended
	closeOnce sync.Once

	// Only the actor touches these. link is nil while there is no connection; spoilt says that something may be left in the
	// TPM that we cannot name, so that only a new connection cleans it up.
	link   *link
	spoilt bool
}

// OpenDevice opens the TPM at path, either a character device with a resource manager ("/dev/tpmrm0") or the Unix
// socket of a swtpm. sysfs is where the kernel shows the firmware's variables and its event log, "/sys" on every machine:
// they tell whether Secure Boot is on and why a register moved. It sends no command: a TPM that hangs shows at the first use.
// If it is lost later it is opened again by itself. Errors are ErrUnreachable.
func OpenDevice(path, sysfs string) (*Device, error) {
	return openDevice(sysfs, func() (*link, error) { return openLink(path) })
}

func openDevice(sysfs string, open func() (*link, error)) (*Device, error) {
	l, err := open()
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrUnreachable, err)
	}
	d := newDevice(sysfs, l, open)
	go d.act()
	return d, nil
}

// newDevice makes a Device whose actor the caller starts.
func newDevice(sysfs string, l *link, open func() (*link, error)) *Device {
	return &Device{
		open:      open,
		sysfs:     sysfs,
		watchdog:  watchdog,
		sequences: make(chan func()),
		quit:      make(chan struct{}),
		gone:      make(chan struct{}),
		link:      l,
	}
}

// Close lets the command in progress finish (for two seconds at most), gives the device up and waits for that.
// Whoever waits for an answer gets ErrClosed. It may be called again.
func (d *Device) Close() error {
	d.closeOnce.Do(func() {
		d.closing = time.Now()
		close(d.quit)
	})
	<-d.gone
	return nil
}

func (d *Device) act() {
	defer close(d.gone)
	defer d.drop()
	for {
		select {
		case <-d.quit:
			return
		case run := <-d.sequences:
			run()
		}
	}
}

// sequence is a run of commands by the actor that nothing interrupts. It is go-tpm's transport.
type sequence struct {
	ctx context.Context
	d   *Device
	// once: beginning again would do something twice, see mark.
	once bool
	// noResend: the driver's failures end the sequence. The lockout authorisation has a counter of its own, and a command
	// that had arrived after all would count as a wrong try.
	noResend bool
	// owner is the owner's authorisation value where this TPM has one that we know, nil for the empty one.
	owner []byte
}

// mark says that from here on the sequence must not be begun again after a lost connection: what follows may have happened.
func (s *sequence) mark() { s.once = true }

// Send implements transport.TPM.
func (s *sequence) Send(command []byte) ([]byte, error) {
	return s.d.send(s.ctx, command, !s.noResend)
}

// flush removes a session or transient object from the TPM, also when the sequence was called off.
func (s *sequence) flush(handle tpm2.TPMHandle) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), cleanupLimit)
	defer cancel()
	if _, err := (tpm2.FlushContext{FlushHandle: handle}).Execute(&sequence{ctx: ctx, d: s.d}); err != nil {
		s.d.spoilt = true
	}
}

// do runs fn as one sequence on d's actor and returns what it returns, or ErrUnreachable as soon as ctx ends, or
// ErrClosed. fn must keep to what it is given: it may run on after do has returned.
func do[T any](ctx context.Context, d *Device, fn func(*sequence) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	ctx, cancel := context.WithTimeout(ctx, sequenceLimit)
	defer cancel()
	out := make(chan result, 1) // the actor never waits for a caller who left
	run := func() {
		value, err := attempt(ctx, d, fn)
		out <- result{value, withCause(err)}
	}
	select {
	case d.sequences <- run:
	case <-d.gone:
		return none, ErrClosed
	case <-ctx.Done():
		return none, fmt.Errorf("%w (busy with other work: %w)", ErrUnreachable, ctx.Err())
	}
	select {
	case r := <-out:
		return r.value, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-out: // both at once: an outcome is worth more
		return r.value, r.err
	default:
		return none, fmt.Errorf("%w (%w)", ErrUnreachable, ctx.Err())
	}
}

// attempt runs fn, and begins it again after a lost connection, when the TPM had no room, and after TPM_RC_PCR_CHANGED:
// something extended a register while the policy was evaluated, as happens during boot, and only a new policy session can tell.
func attempt[T any](ctx context.Context, d *Device, fn func(*sequence) (T, error)) (T, error) {
	for try, pause := 1, firstPause; ; try, pause = try+1, 2*pause {
		s := &sequence{ctx: ctx, d: d}
		value, err := guard(s, fn)
		again := errors.Is(err, errLink) || full(err) || errors.Is(err, tpm2.TPMRCPCRChanged)
		if !again || s.once || try == sequenceTries || !d.pause(ctx, pause) {
			return value, err
		}
	}
}

// full tells whether the TPM has no slot left. We use three at most, so something was left behind: a new connection clears it.
func full(err error) bool {
	return errors.Is(err, tpm2.TPMRCSessionMemory) || errors.Is(err, tpm2.TPMRCSessionHandles) ||
		errors.Is(err, tpm2.TPMRCObjectMemory) || errors.Is(err, tpm2.TPMRCObjectHandles)
}

// guard runs fn once. A panic, which garbage in place of an answer can raise inside go-tpm, becomes an error. After an error
// that is no response code the connection is given up: an answer that was not understood may have left a handle.
func guard[T any](s *sequence, fn func(*sequence) (T, error)) (value T, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.mark()
			s.d.spoilt = true
			err = fmt.Errorf("%w (its answer made no sense: %T)", ErrUnreachable, r)
		}
		var rc tpm2.TPMRC
		if s.d.spoilt || full(err) || err != nil && !errors.As(err, &rc) && !known(err) {
			s.d.drop()
		}
	}()
	// Parameter encryption is AES-CFB by the TPM standard, and no data at rest; under GODEBUG=fips140=only crypto/cipher
	// panics on it. Without that setting this is a plain call.
	fips140.WithoutEnforcement(func() {
		if err = s.d.connect(s.ctx); err == nil {
			value, err = fn(s)
		}
	})
	return value, err
}

// connect makes sure that there is a link. Only between sequences: a new link knows none of the old one's sessions.
func (d *Device) connect(ctx context.Context) error {
	if d.link == nil {
		l, err := d.open()
		if err != nil {
			return fmt.Errorf("%w: %w", errLink, err)
		}
		d.link = l
	}
	if !d.link.clean {
		if err := d.sweep(ctx); err != nil {
			return err
		}
		d.link.clean = true
	}
	return nil
}

// sweep flushes what an earlier connection left behind. A swtpm has no resource manager that would have done it,
// and no other user whose objects these could be.
func (d *Device) sweep(ctx context.Context) error {
	s := &sequence{ctx: ctx, d: d}
	for _, first := range []tpm2.TPMHandle{transientFirst, loadedSessionFirst} {
		handles, err := s.handles(first)
		if err != nil {
			return fmt.Errorf("list leftovers: %w", err)
		}
		for _, h := range handles {
			s.flush(h)
		}
	}
	return nil
}

// First handles of their ranges (TPM 2.0 Part 2, section 7.4 and 7.2).
const (
	loadedSessionFirst tpm2.TPMHandle = 0x02000000
	transientFirst     tpm2.TPMHandle = 0x80000000
)

// handles lists the handles in use from first to the end of its range.
func (s *sequence) handles(first tpm2.TPMHandle) ([]tpm2.TPMHandle, error) {
	rsp, err := tpm2.GetCapability{
		Capability: tpm2.TPMCapHandles, Property: uint32(first), PropertyCount: 254,
	}.Execute(s)
	if err != nil {
		return nil, err
	}
	list, err := rsp.CapabilityData.Data.Handles()
	if err != nil {
		return nil, err
	}
	return list.Handle, nil
}

// drop closes the link. With a resource manager behind it, that flushes all it held.
func (d *Device) drop() {
	d.spoilt = false
	if d.link != nil {
		d.link.close()
		d.link = nil
	}
}

// send gives one command to the TPM and returns its response, waiting while the TPM says that it is busy. ctx is looked
// at before each try; a command in progress is waited for, or the rest of its sequence could not be cleaned up.
func (d *Device) send(ctx context.Context, command []byte, resend bool) ([]byte, error) {
	driverErrors := 0
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		switch {
		case d.closed():
			return nil, ErrClosed
		case d.link == nil:
			return nil, errLink
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%w (%w)", ErrUnreachable, err)
		}
		start := time.Now()
		response, err := d.link.exchange(command, func() bool {
			return d.closed() || time.Since(start) > d.watchdog
		})
		switch {
		case err == nil && driverErrors > 0 && refused(response):
			// The first one had arrived, and its nonces are used up: what it did is done, and its answer is lost.
			d.drop()
			return nil, fmt.Errorf("%w: the driver lost an answer", errLink)
		case err == nil && !busy(response):
			return response, nil
		case err == nil:
		case transient(err) && resend && driverErrors < driverTries-1:
			// The same bytes again never do a thing twice where sessions authorise it. Without a session they may leave a
			// handle that we do not learn: the connection ends with this sequence.
			driverErrors++
			d.spoilt = true
		default:
			d.drop()
			switch {
			case d.closed():
				return nil, ErrClosed
			case errors.Is(err, errWatchdog):
				// Hanging, not lost: beginning again would only hang again.
				return nil, fmt.Errorf("%w (%w after %v)", ErrUnreachable, err, time.Since(start).Round(time.Millisecond))
			}
			return nil, fmt.Errorf("%w: %w", errLink, err)
		}
		if !d.pause(ctx, pause) {
			return nil, fmt.Errorf("%w (busy: it keeps asking to be tried later)", ErrUnreachable)
		}
	}
}

// closed tells whether Close was called and its grace is over.
func (d *Device) closed() bool {
	select {
	case <-d.quit:
		return time.Since(d.closing) > closeGrace
	default:
		return false
	}
}

// pause waits, and tells whether to go on.
func (d *Device) pause(ctx context.Context, p time.Duration) bool {
	t := time.NewTimer(p)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-d.quit:
		return false
	}
}

// refused tells whether a response refuses the authorisation: what the TPM answers to a command it has carried out before.
func refused(response []byte) bool {
	if len(response) < headerSize {
		return false
	}
	rc := tpm2.TPMRC(binary.BigEndian.Uint32(response[6:]))
	return errors.Is(rc, tpm2.TPMRCAuthFail) || errors.Is(rc, tpm2.TPMRCBadAuth)
}

// busy tells whether a response says nothing but "send the same command again later" (TPM 2.0 Part 2, section 6.6.3).
// No session has moved on, so the same bytes are right.
func busy(response []byte) bool {
	if len(response) < headerSize {
		return false
	}
	switch tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])) {
	case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate, tpm2.TPMRCNVUnavailable:
		return true
	}
	return false
}
