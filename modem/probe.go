package modem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"pinward/modem/line"
)

// ErrNoModem says that no GSM modem answers behind a port: it is silent, streams something else, or knows AT but has no IMEI. A
// modem's diagnostic, NMEA and audio ports look so.
var ErrNoModem = errors.New("no modem answers")

// Found is the modem behind a port, as it names itself. Nothing is asked that changes it.
type Found struct {
	Vendor, Model, Revision string
	IMEI                    string
	ICCID                   string // "" while the SIM is locked or missing, on most modules
	SIM                     string // <code> of +CPIN? (27.007, 8.3): "READY", "SIM PIN", "SIM PUK"; "NOT INSERTED"; "" unknown
	Profile                 string // which profile would drive it; "generic" is SMS only
	Voice                   bool   // that profile knows a way to play audio; whether this SIM may call is not known
}

// String shows nothing of IMEI and ICCID.
func (f Found) String() string {
	return strings.TrimSpace(f.Vendor+" "+f.Model) + " (" + f.Profile + ")"
}

// GoString shows nothing of IMEI and ICCID.
func (f Found) GoString() string { return f.String() }

// LogValue shows nothing of IMEI and ICCID.
func (f Found) LogValue() slog.Value { return slog.StringValue(f.String()) }

// The patience of Probe (reference 3): a modem that sleeps loses its first command.
const (
	probeTries = 3
	probeEach  = time.Second
	probeIMEI  = 5 * time.Second
	probeStep  = 3 * time.Second
)

// Probe opens a port, looks whether a modem is behind it, and closes it again. It writes "AT", three times at most, and nothing
// more to a port that has not answered OK; a port without a modem costs 3 s. A port that is in use must not be probed: package
// port refuses that.
//
// ErrNoModem says that there is none; any other error is the port's, as port.ErrBusy (another program holds it) and
// port.ErrUnplugged, or the cause of ctx.
func Probe(ctx context.Context, open func(context.Context) (io.ReadWriteCloser, error)) (Found, error) {
	rw, err := open(ctx)
	if err != nil {
		return Found{}, fmt.Errorf("probe port: %w", err)
	}
	l := line.New(rw, line.Options{WriteTimeout: probeEach, Gap: firstGap})
	defer l.Close()
	found, err := ask(ctx, l)
	switch {
	case err == nil:
		return found, nil
	case ctx.Err() != nil:
		return Found{}, fmt.Errorf("probe port: %w", context.Cause(ctx))
	case errors.Is(err, line.ErrStuck), l.Err() == nil:
		return Found{}, fmt.Errorf("probe port: %w: %w", ErrNoModem, err)
	}
	return Found{}, fmt.Errorf("probe port: %w", err)
}

// ask is Probe on an open port.
func ask(ctx context.Context, l *line.Line) (Found, error) {
	if err := l.Hello(ctx, probeTries, probeEach); err != nil {
		return Found{}, err
	}
	limited, cancel := context.WithTimeout(ctx, probeIMEI)
	defer cancel()
	imei, err := l.Resync(limited, "")
	if err != nil {
		return Found{}, err
	}
	var answers map[string][]string
	try := func(cmd string) ([]string, error) {
		info, err := l.Do(ctx, line.Cmd{Text: cmd, Class: line.Rest, Answers: answers[cmd]}, probeStep)
		return info, best(err)
	}
	f := Found{IMEI: imei}
	if f.Vendor, f.Model, f.Revision, err = askModel(try); err != nil {
		return Found{}, err
	}
	p := profileFor(f.Vendor, f.Model)
	answers = p.Answers
	f.Profile, f.Voice = p.Name, p.Voice != nil
	info, err := l.Do(ctx, line.Cmd{Text: "+CPIN?", Class: line.Rest}, probeStep)
	if f.SIM, err = simStateIn(info, err); err != nil {
		return Found{}, err
	}
	_, f.ICCID, err = askICCID(p, try)
	return f, err
}

// best forgives a refusal: silence is an error, "no" is an answer.
func best(err error) error {
	var refused *line.ResultError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// askModel asks who a module is.
func askModel(try func(cmd string) ([]string, error)) (vendor, model, revision string, err error) {
	var got [3]string
	for i, cmd := range []string{"+CGMI", "+CGMM", "+CGMR"} {
		info, err := try(cmd)
		if err != nil {
			return "", "", "", err
		}
		if len(info) > 0 {
			got[i] = strings.Trim(strings.TrimSpace(strings.TrimPrefix(info[0], cmd+":")), `"`)
		}
	}
	return got[0], got[1], got[2], nil
}

// askICCID asks in the ways of the profile; cmd is the one that told it, "" if none did.
func askICCID(p profile, try func(cmd string) ([]string, error)) (cmd, iccid string, err error) {
	for _, cmd := range p.ICCID {
		info, err := try(cmd)
		if err != nil {
			return "", "", err
		}
		if iccid := digits(info); iccid != "" {
			return cmd, iccid, nil
		}
	}
	return "", "", nil
}
