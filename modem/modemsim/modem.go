package modemsim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
)

// ModemOptions says which modem to add. Only Name is needed.
type ModemOptions struct {
	// Name is what the modem is called here; letters, digits, - and _.
	Name string
	// Profile is the kind of device: generic, ec25, sim7600, e173 or le910; "" is generic.
	Profile string
	// Carrier is the operator's name; "" alternates between two.
	Carrier string
	// IMEI, ICCID and IMSI identify device and SIM; "" makes them up from the order of adding.
	IMEI, ICCID, IMSI string
	// Number is the SIM's own number in E.164 with +; "" makes one up. Texts to it reach this modem.
	Number string
	// PIN locks the SIM until +CPIN gives it; "" is no lock. The PUK is 12345678.
	PIN string
	// PINTries is how many tries for the PIN are left; 0 means three, negative none: the SIM wants its PUK.
	PINTries int
	// SMSC is the service centre address on the SIM; "" takes the carrier's.
	SMSC string
	// BootTime is how long a restart takes; 0 means half a second.
	BootTime time.Duration
}

// Modem is one modem with its SIM.
type Modem struct {
	network *Network
	opts    ModemOptions
	profile *profile
	plmn    string // MCC and MNC

	// Under the world's lock:
	rng       *rand.Rand
	faults    Faults
	latency   time.Duration
	set       settings
	sim       simCard
	store     map[string]*storage
	lastMR    byte
	submitted int
	booting   bool
	unplugged bool // by AtX faults; Faults.Unplugged stands beside it
	reports   []report
	direct    *transit // given by +CMT and waiting for +CNMA
	ackTimer  *entry
	call      *call
	over      *call // has ended, and is still listed
	cause     int   // of the end of the last call
	paused    bool  // it wants no sound now
	pacing    pacing
	starved   time.Duration     // of the last call
	spoken    []string          // of the last call
	files     map[string][]byte // in the module's own storage; kept without power
	incoming  *incoming
	searching *entry // for a network, after the SIM was changed
	rings     []IncomingCall
	forward   forwarding
	config    map[string]string // +QCFG
	imsUp     bool
	flood     *entry
	babble    *entry
	began     time.Time     // when the PDU that is on air was read
	slow      time.Time     // until then the message service is not ready
	sent      []time.Time   // parts of the last minute
	freshMR   bool          // lastMR was given once
	unstick   chan struct{} // closed when Faults.Stuck ends

	session  *session
	tty      *terminal // nil without PTY
	tree     *tree     // nil without Tree
	audio    *sidePort // the PCM port; nil while nobody can have it open
	audioTTY *terminal // nil without AudioPTY
	term     terminalState
}

// AddModem puts a modem into the network. It is on, and registered as soon as
// its SIM is unlocked; it has no port until Pipe or PTY.
func (n *Network) AddModem(o ModemOptions) (*Modem, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, errors.New("add modem: the network is closed")
	}
	if o.Name == "" || strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return nil, errors.New("add modem: the name must be letters, digits, - and _")
	}
	if o.Profile == "" {
		o.Profile = "generic"
	}
	p, ok := profiles[o.Profile]
	if !ok {
		return nil, fmt.Errorf("add modem %s: profile is none of generic, ec25, sim7600, e173, le910", o.Name)
	}
	m := &Modem{network: n, opts: o, profile: p, unstick: make(chan struct{}), files: map[string][]byte{}}
	m.fillIn(len(n.modems))
	if n.modem(o.Name) != nil || n.modemByNumber(m.opts.Number) != nil {
		return nil, fmt.Errorf("add modem %s: the name or the number is taken", o.Name)
	}
	seed := fnv.New64a()
	seed.Write([]byte(o.Name))
	m.rng = rand.New(rand.NewPCG(n.opts.Seed, seed.Sum64()))
	m.latency = n.opts.Latency
	if m.latency == 0 {
		m.latency = DefaultLatency
	}
	m.latency = max(m.latency, 0)
	m.sim = newSIM(m.opts.PIN)
	if o.PINTries != 0 {
		m.sim.tries = min(max(o.PINTries, 0), 3)
	}
	m.set, m.config = p.settings(), configured()
	m.lastMR = byte(m.rng.Uint32())
	if err := m.loadStorage(); err != nil {
		return nil, fmt.Errorf("add modem %s: %w", o.Name, err)
	}
	n.modems = append(n.modems, m)
	m.poke()
	return m, nil
}

// fillIn makes up what the options leave open. The numbers are from ranges that
// no network gives out: test PLMN 001, and an IMEI of the test type allocation.
func (m *Modem) fillIn(index int) {
	o := &m.opts
	carrier := index % 2
	if o.Carrier == "" {
		o.Carrier = []string{"Northline", "Tidewater"}[carrier]
	}
	m.plmn = fmt.Sprintf("00%d0%d", 1, carrier+1)
	fill := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	fill(&o.IMEI, luhn(fmt.Sprintf("00100200%06d", index+1)))
	fill(&o.ICCID, luhn(fmt.Sprintf("89001%02d00000000%03d", carrier+1, index+1)))
	fill(&o.IMSI, fmt.Sprintf("%s%010d", m.plmn, index+1))
	fill(&o.Number, fmt.Sprintf("+1617555%04d", 2001+index))
	fill(&o.SMSC, fmt.Sprintf("+1617555%04d", 9001+carrier))
	if o.BootTime <= 0 {
		o.BootTime = 500 * time.Millisecond
	}
}

// luhn appends the check digit of ISO/IEC 7812.
func luhn(digits string) string {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + string(rune('0'+(10-sum%10)%10))
}

// Name is what the modem is called.
func (m *Modem) Name() string { return m.opts.Name }

// Number is the SIM's own number.
func (m *Modem) Number() string {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	return m.opts.Number
}

// IMEI is the device's serial number, as +CGSN gives it.
func (m *Modem) IMEI() string { return m.opts.IMEI }

// ICCID is the SIM's serial number.
func (m *Modem) ICCID() string {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	return m.opts.ICCID
}

// Carrier is the operator's name.
func (m *Modem) Carrier() string { return m.opts.Carrier }

// Submitted counts the parts that the network took from this modem.
func (m *Modem) Submitted() int {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	return m.submitted
}

// SetLatency changes the time that the network takes for one part of this
// modem; negative is none.
func (m *Modem) SetLatency(d time.Duration) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	m.latency = max(d, 0)
}

// Faults tells how the modem misbehaves now; counts have gone down as they struck.
func (m *Modem) Faults() Faults {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	f := m.faults
	f.SendErrors, f.DialErrors = append([]string(nil), f.SendErrors...), append([]string(nil), f.DialErrors...)
	return f
}

// SetFaults puts f in the place of all faults set before. Faults that mean
// nothing, such as an unknown Moment, are an error and change nothing.
func (m *Modem) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return fmt.Errorf("set faults of %s: %w", m.opts.Name, err)
	}
	f.SendErrors, f.DialErrors = append([]string(nil), f.SendErrors...), append([]string(nil), f.DialErrors...)
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	was, registered, removed := m.out(), m.registered(), m.faults.SIMRemoved
	if m.faults.Stuck && !f.Stuck || m.faults.AudioStuck && !f.AudioStuck {
		close(m.unstick)
		m.unstick = make(chan struct{})
	}
	m.faults = f
	if f.RoutingLost {
		m.faults.RoutingLost = false
		m.set.cnmi[1], m.set.cnmi[3] = 0, 0
	}
	switch {
	case !was && m.out():
		m.unplug()
	case was && !m.out():
		m.plug()
	}
	if removed != f.SIMRemoved && !m.out() {
		m.simChanged()
	}
	if registered != m.registered() {
		m.showRegistration()
	}
	m.restartFlood()
	m.poke()
	return nil
}

// Reboot restarts the modem as a brown-out does: settings, the running command
// and the call are gone, the port stays.
func (m *Modem) Reboot() {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	m.reboot()
}

// out tells whether the modem is off the bus.
func (m *Modem) out() bool { return m.unplugged || m.faults.Unplugged }

// registered tells whether the network and the SIM would carry a text now.
func (m *Modem) registered() bool {
	switch m.registration() {
	case 1, 5, 6, 7, 9, 10:
		return true
	}
	return false
}

// smsOnly tells whether the network carries texts and no calls: <stat> 6 and 7.
func (m *Modem) smsOnly() bool { return m.registration() == 6 || m.registration() == 7 }

// registration is the <stat> of 27.007 section 7.2.
func (m *Modem) registration() int {
	switch {
	case m.out() || m.booting || m.set.cfun != 1 || m.sim.locked() || m.faults.SIMRemoved:
		return 0
	case m.faults.Registration != 0:
		return m.faults.Registration
	case m.searching != nil:
		return 2
	}
	return 1
}

// reboot loses everything that is not on the SIM, and comes up in BootTime.
func (m *Modem) reboot() {
	if m.profile.leavesBus && !m.out() {
		m.leave(m.opts.BootTime)
		return
	}
	m.boot()
}

// leave takes the modem off the bus for d.
func (m *Modem) leave(d time.Duration) {
	m.unplugged = true
	m.unplug()
	m.network.agenda.after(d, func() {
		m.unplugged = false
		if !m.out() && !m.network.closed {
			m.plug()
		}
	})
}

// boot is the start of a device that is on the bus.
func (m *Modem) boot() {
	m.powerDown()
	m.booting = true
	m.network.agenda.after(m.opts.BootTime, func() {
		if m.network.closed || !m.booting {
			return
		}
		m.booting = false
		m.slow = time.Now().Add(time.Duration(m.faults.SlowReady))
		if m.faults.BootNoise {
			m.emit("\x00\x00\x00\x00")
		}
		m.urc(m.profile.boot...)
		if m.faults.SIMRemoved || m.sim.locked() {
			m.simChanged()
		} else {
			m.urc(m.profile.ready...)
		}
		m.poke()
	})
}

// powerDown forgets what needs power. A text that waited for +CNMA goes back to
// the service centre.
func (m *Modem) powerDown() {
	m.resetParser()
	m.hangUp(false, causeUnspecified)
	m.over = nil
	m.endIncoming(RingUnreachable)
	m.ackTimer.cancel()
	m.ackTimer, m.direct = nil, nil
	m.set = m.profile.settings()
	m.imsUp = m.config["ims"] == "1"
	m.sim.lock()
}

// unplug takes the modem off the bus; its session ends.
func (m *Modem) unplug() {
	m.powerDown()
	m.booting = false
	m.endSession()
	m.withdrawTTY()
	m.withdrawAudio()
}

// plug puts it back: a PTY gets a new name behind its link, and the modem boots.
func (m *Modem) plug() {
	m.boot()
	if err := errors.Join(m.offerTTY(), m.offerAudio()); err != nil {
		m.network.log.Error("modem cannot come back", "modem", m.opts.Name, "err", err)
	}
}

// poke looks whether something waits that can be done now: reports for the
// host, texts for the SIM.
func (m *Modem) poke() {
	if !m.registered() || m.network.closed {
		return
	}
	waiting := m.reports
	m.reports = nil
	for _, r := range waiting {
		m.giveReport(r)
	}
	m.network.retry(m.opts.Number)
}

// shut ends the session and takes the link away.
func (m *Modem) shut() error {
	m.endSession()
	return errors.Join(m.withdrawTTY(), m.withdrawAudio())
}
