package modem

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"pinward/modem/line"
)

// The errors of what an operator asks of a modem, besides those of the line.
var (
	// ErrNotUp says that the modem is not brought up: Status tells why.
	ErrNotUp = errors.New("modem is not up")
	// ErrNoBalance says that the SIM's balance cannot be asked for or was not in the answer.
	ErrNoBalance = errors.New("no balance")
	// ErrForward says that the network did not take the forwarding.
	ErrForward = errors.New("calls are not forwarded as asked")
)

// up is the session that is brought up, and its profile.
func (m *Modem) up() (*session, profile, error) {
	m.mu.Lock()
	s, st := m.cur, m.status
	m.mu.Unlock()
	if s == nil {
		return nil, profile{}, fmt.Errorf("%w: %s", ErrNotUp, st.Phase)
	}
	return s, profiles()[st.Profile], nil
}

// one lets one operator's order run at a time.
func (m *Modem) one(ctx context.Context) (release func(), err error) {
	select {
	case m.orders <- struct{}{}:
		return func() { <-m.orders }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Reset restarts the modem for an operator, whatever it is doing: a running send ends at once, unknown. It waits until the
// restart was ordered, not until the modem is back; Changed and Status tell that. The cap on restarts an hour does not hold it
// back, but it counts.
func (m *Modem) Reset(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("reset modem: %w", context.Cause(ctx))
	}
	done := make(chan error, 1)
	select {
	case m.resets <- done:
	case <-ctx.Done():
		return fmt.Errorf("reset modem: %w", context.Cause(ctx))
	}
	if m.o.Log != nil {
		m.o.Log.Info("restart ordered by an operator", "modem", m.o.Name)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("reset modem: %w", context.Cause(ctx))
	}
}

// Balance asks the network for the SIM's balance by USSD and gives the amount as the network writes it ("10.00"), never the rest
// of its answer. The code is that of Options.BalanceCode, or the operator's or the profile's; the amount is found by the profile's
// expression. ErrNoBalance says that there was no amount in the answer, or no answer. The modem can send meanwhile.
func (m *Modem) Balance(ctx context.Context) (string, error) {
	release, err := m.one(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	s, p, err := m.up()
	if err != nil {
		return "", err
	}
	return s.balance(ctx, p)
}

func (s *session) balance(ctx context.Context, p profile) (string, error) {
	st, code := s.m.Status(), ""
	if s.m.o.BalanceCode != nil {
		code = s.m.o.BalanceCode(st.ICCID)
	}
	if code == "" {
		code = p.balanceCode(st.Operator)
	}
	cmd, err := p.ussdRequest(code)
	if err != nil {
		return "", err
	}
	select {
	case <-s.ussd: // an answer that nobody waited for
	default:
	}
	t := s.m.o.Timing
	if _, err := s.l.Do(ctx, line.Cmd{Text: cmd, Class: line.Rest}, t.Service); err != nil {
		if s.l.Dirty() {
			signal(s.kick)
		}
		return "", fmt.Errorf("%w: %w", ErrNoBalance, err)
	}
	limit := time.NewTimer(t.Service)
	defer limit.Stop()
	for {
		select {
		case rest := <-s.ussd:
			a, err := readUSSD(rest)
			if err != nil {
				return "", fmt.Errorf("%w: %w", ErrNoBalance, err)
			}
			if a.kind == 1 { // a menu: leave it, or the network waits for us
				signal(s.leaveUSSD)
			}
			if amount, ok := p.amount(a.text); ok {
				return amount, nil
			}
			return "", fmt.Errorf("%w in the network's answer (kind %d)", ErrNoBalance, a.kind)
		case <-limit.C:
			signal(s.leaveUSSD)
			return "", fmt.Errorf("%w: the network does not answer", ErrNoBalance)
		case <-ctx.Done():
			signal(s.leaveUSSD)
			return "", context.Cause(ctx)
		case <-s.ctx.Done():
			return "", ErrNotUp
		}
	}
}

// amount finds the balance in an answer.
func (p profile) amount(text string) (string, bool) {
	re, err := regexp.Compile(p.Balance.Amount)
	if err != nil || p.Balance.Amount == "" {
		return "", false
	}
	f := re.FindStringSubmatch(text)
	if len(f) < 2 {
		return "", false
	}
	return strings.ReplaceAll(f[1], ",", "."), true
}

// spent says that an amount is nothing, or less.
func spent(amount string) bool {
	n, err := strconv.ParseFloat(amount, 64)
	return err == nil && n <= 0
}

// Forward has the carrier forward every voice call to the SIM to number (+CCFC, 27.007, 7.11; voice only, unconditionally), or no
// longer if number is "". It asks the network what it made of it: ErrForward says that it is not so. The line is taken meanwhile:
// it is no order for a busy hour.
func (m *Modem) Forward(ctx context.Context, number string) error {
	release, err := m.one(ctx)
	if err != nil {
		return err
	}
	defer release()
	s, _, err := m.up()
	if err != nil {
		return err
	}
	cmd := "+CCFC=0,4"
	if number != "" {
		a, err := address(number)
		if err != nil {
			return fmt.Errorf("%w: not a number to forward to", ErrForward)
		}
		cmd = fmt.Sprintf(`+CCFC=0,3,"%s",%d,1`, number, a.TOA)
	}
	if _, err := s.service(ctx, cmd); err != nil {
		return fmt.Errorf("%w: %w", ErrForward, err)
	}
	now, err := s.forwarded(ctx)
	if err != nil {
		return err
	}
	if !sameNumber(now, number) {
		return fmt.Errorf("%w: the network says otherwise", ErrForward)
	}
	return nil
}

// Forwarded asks the network where voice calls to the SIM are forwarded; "" is nowhere.
func (m *Modem) Forwarded(ctx context.Context) (string, error) {
	release, err := m.one(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	s, _, err := m.up()
	if err != nil {
		return "", err
	}
	return s.forwarded(ctx)
}

func (s *session) forwarded(ctx context.Context) (string, error) {
	info, err := s.service(ctx, "+CCFC=0,2")
	if err != nil {
		return "", fmt.Errorf("query forwarding: %w", err)
	}
	return forwardedTo(info), nil
}

// service gives a command that the network answers, which takes longer than one that the modem answers.
func (s *session) service(ctx context.Context, cmd string) ([]string, error) {
	info, err := s.l.Do(ctx, line.Cmd{Text: cmd, Class: line.Rest}, s.m.o.Timing.Service)
	if s.l.Dirty() {
		signal(s.kick)
	}
	return info, err
}

// forwardedTo reads "+CCFC: <status>,<class>[,<number>,<type>...]", a line for each class, and takes the active one of voice.
func forwardedTo(info []string) string {
	for i := range info {
		f := fields(field(info[i:i+1], "+CCFC"))
		if len(f) < 3 || f[0] != "1" {
			continue
		}
		if class, err := strconv.Atoi(f[1]); err != nil || class&1 == 0 {
			continue
		}
		number := f[2]
		if len(f) > 3 && f[3] == "145" && number != "" && number[0] != '+' {
			number = "+" + number
		}
		return number
	}
	return ""
}

// sameNumber compares what was asked for with what the network says, which may write it in another form.
func sameNumber(a, b string) bool {
	a, b = strings.TrimPrefix(a, "+"), strings.TrimPrefix(b, "+")
	if a == "" || b == "" {
		return a == b
	}
	n := min(len(a), len(b), 7)
	return n >= 3 && a[len(a)-n:] == b[len(b)-n:]
}

// AcceptSIM makes the SIM that is in the modem now the expected one: AlarmSIMSwapped ends.
func (m *Modem) AcceptSIM() {
	m.update(func(s *Status) {
		if s.ICCID != "" {
			m.expected, s.Swapped = s.ICCID, false
		}
	})
}
