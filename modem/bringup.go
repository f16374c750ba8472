package modem

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/modem/line"
)

// bringUp takes a modem from "just opened" or "just booted" to "takes SMS" (reference 4). It may be run again at any time: each
// boot forgets all of it.
func (s *session) bringUp() error {
	if err := s.resync(s.m.o.Timing.Boot); err != nil {
		return err
	}
	for _, cmd := range []string{"E0", "V1", "+CMEE=1"} {
		if err := s.try(cmd); err != nil {
			return err
		}
	}
	if err := s.identify(); err != nil {
		return err
	}
	if err := s.unlock(); err != nil {
		return err
	}
	if err := s.identifySIM(); err != nil {
		return err
	}
	if err := s.prepareSMS(); err != nil {
		return err
	}
	for _, cmd := range append([]string{"+CREG=2", "+CEREG=2", "+CGREG=2", "+CLIP=1", "+CSSN=0,0"}, s.p.Init...) {
		if err := s.try(cmd); err != nil {
			return err
		}
	}
	s.pending = nil
	if err := s.applySettings(); err != nil {
		return err
	}
	info, err := s.tryFor("+CNUM", s.m.o.Timing.Step)
	if err != nil {
		return err
	}
	if f := fields(field(info, "+CNUM")); len(f) >= 2 {
		s.m.update(func(st *Status) { st.Number = f[1] })
	}
	if err := s.readyVoice(); err != nil {
		return err
	}
	s.m.phase(PhaseRegistering, "looking for a network")
	return nil
}

// try is a best-effort step: a refusal is no error, silence is.
func (s *session) try(cmd string) error {
	_, err := s.tryFor(cmd, s.m.o.Timing.Step)
	return err
}

// ask is try for whoever reads the answer: none after a refusal.
func (s *session) ask(cmd string) ([]string, error) { return s.tryFor(cmd, s.m.o.Timing.Step) }

func (s *session) tryFor(cmd string, limit time.Duration) ([]string, error) {
	info, err := s.doFor(cmd, limit)
	var refused *line.ResultError
	if errors.As(err, &refused) {
		return nil, nil
	}
	return info, err
}

// must is a required step. While the SIM is busy after power-on it is tried again, up to Timing.SIM.
func (s *session) must(cmd string) ([]string, error) {
	end := time.Now().Add(s.m.o.Timing.SIM)
	for {
		info, err := s.do(cmd)
		if err == nil || !busy(err) || time.Now().After(end) {
			return info, err
		}
		sleep(s.ctx, min(time.Second, s.m.o.Timing.Step))
	}
}

// busy says that a command may succeed a second later: SIM busy or failure, or the SMS service is starting (+CME 13, 14; +CMS 314,
// 500, 515).
func busy(err error) bool {
	var r *line.ResultError
	if !errors.As(err, &r) {
		return false
	}
	switch {
	case r.Kind == "CME":
		return r.Code == 13 || r.Code == 14 || r.Code == 515 || strings.EqualFold(r.Words, "SIM busy")
	case r.Kind == "CMS":
		return r.Code == 314 || r.Code == 500 || r.Code == 515
	}
	return false
}

// identify asks who the modem is and takes its profile.
func (s *session) identify() error {
	vendor, model, revision, err := askModel(s.ask)
	if err != nil {
		return err
	}
	s.p = profileFor(vendor, model)
	s.l.SetPace(time.Duration(s.p.Gap), time.Duration(s.p.PromptDelay))
	s.m.update(func(st *Status) {
		st.Vendor, st.Model, st.Revision, st.Profile = vendor, model, revision, s.p.Name
	})
	return nil
}

// identifySIM reads ICCID and IMSI. Without an ICCID the IMSI tells one SIM from another.
func (s *session) identifySIM() error {
	info, err := s.tryFor("+CIMI", s.m.o.Timing.Step)
	if err != nil {
		return err
	}
	imsi := digits(info)
	cmd, iccid, err := askICCID(s.p, s.ask)
	if err != nil {
		return err
	}
	id := simIdentity{cmd: cmd, value: iccid, iccid: iccid}
	if iccid == "" && imsi != "" {
		id.cmd, id.value = "+CIMI", imsi
	}
	s.m.update(func(st *Status) {
		s.m.identity = id // update holds mu
		if st.ICCID != iccid {
			st.Number = "" // the other SIM's
		}
		st.IMSI, st.ICCID = imsi, iccid
	})
	s.m.noticeSIM(iccid)
	return nil
}

// digits is the longest run of digits in an answer, 15 at least: an IMSI or ICCID, however it is dressed. A trailing F of an ICCID
// is filling.
func digits(info []string) string {
	for _, l := range info {
		if _, rest, ok := strings.Cut(l, ":"); ok {
			l = rest
		}
		l = strings.TrimRight(strings.Trim(strings.TrimSpace(l), `"`), "Ff")
		if len(l) >= 14 && strings.Trim(l, "0123456789") == "" {
			return l
		}
	}
	return ""
}

// prepareSMS sets PDU mode, storage and routing: CSMS=0 and CNMI=2,1,0,1,0 keep incoming texts in storage, where a crash loses
// nothing, give reports directly, and leave nothing to acknowledge (reference 5.3).
func (s *session) prepareSMS() error {
	if _, err := s.must("+CMGF=0"); err != nil {
		return fmt.Errorf("set PDU mode: %w", noSIM(err))
	}
	info, err := s.must("+CSCA?")
	if err != nil {
		return fmt.Errorf("read service centre: %w", noSIM(err))
	}
	smsc := fields(field(info, "+CSCA"))[0]
	if smsc == "" {
		return &simError{"the SIM holds no service centre number (SMSC)", AlarmSIMFault}
	}
	s.m.update(func(st *Status) { st.SMSC = smsc })
	if err := s.try("+CSMS=0"); err != nil {
		return err
	}
	if err := s.chooseStorage(); err != nil {
		return err
	}
	return s.route()
}

// chooseStorage takes the first memory that the modem allows for reading, writing and receiving; some modems want all three
// named, some refuse that (gammu#829).
func (s *session) chooseStorage() error {
	for _, mem := range s.p.Storage {
		for _, cmd := range []string{
			fmt.Sprintf("+CPMS=%q,%q,%q", mem, mem, mem), fmt.Sprintf("+CPMS=%q,%q", mem, mem), fmt.Sprintf("+CPMS=%q", mem),
		} {
			_, err := s.must(cmd)
			var refused *line.ResultError
			switch {
			case err == nil:
				s.mem, s.back = mem, cmd
				s.others = slices.DeleteFunc(slices.Clone(s.p.Storage), func(m string) bool { return m == mem })
				return nil
			case !errors.As(err, &refused):
				return err
			}
		}
	}
	return errors.New("select message storage: modem refuses all of them")
}

// routings are the settings of +CNMI in order of preference: reports directly, reports through storage, no reports.
var routings = []string{"2,1,0,1,0", "1,1,0,1,0", "2,1,0,2,0", "2,1,0,0,0"}

// route sets +CNMI.
func (s *session) route() error {
	for _, r := range routings {
		_, err := s.do("+CNMI=" + r)
		var refused *line.ResultError
		switch {
		case err == nil:
			s.reports = !strings.HasSuffix(r, ",0,0")
			if !s.reports {
				s.m.o.Log.Warn("modem gives no status reports", "modem", s.m.o.Name)
			}
			return nil
		case !errors.As(err, &refused):
			return err
		}
	}
	return errors.New("set routing of incoming texts: modem refuses all of it")
}

// checkRouting sets +CNMI again where a modem has switched it off by itself (27.005, 3.4.4).
func (s *session) checkRouting() error {
	info, err := s.tryFor("+CNMI?", s.m.o.Timing.Step)
	if err != nil {
		return err
	}
	if f := fields(field(info, "+CNMI")); len(f) >= 4 && (f[1] == "0" || s.reports && f[3] == "0") {
		s.m.o.Log.Warn("modem had switched its notifications off", "modem", s.m.o.Name)
		return s.route()
	}
	return nil
}

func (s *session) lostSetting(name string) {
	s.m.o.Log.Warn("modem had lost a setting", "modem", s.m.o.Name, "setting", name)
}

// checkSettings reads back what a modem may have lost without a word, and sets it again: PDU mode, the service that asks for no
// acknowledgements, the storage, and Options.Settings (reference 5.3, 5.6).
func (s *session) checkSettings() error {
	for _, c := range []struct{ ask, want, set string }{
		{"+CMGF", "0", "+CMGF=0"}, {"+CSMS", "0", "+CSMS=0"},
	} {
		info, err := s.tryFor(c.ask+"?", s.m.o.Timing.Step)
		if err != nil {
			return err
		}
		f := fields(field(info, c.ask))
		if f[0] == "" || f[0] == c.want {
			continue // as it should be, or the modem does not tell
		}
		s.lostSetting(c.ask)
		if err := s.try(c.set); err != nil {
			return err
		}
	}
	info, err := s.ask("+CPMS?")
	if err != nil {
		return err
	}
	for i, f := range fields(field(info, "+CPMS")) { // each memory, its used, its total
		if i%3 == 0 && f != "" && f != s.mem && strings.Count(s.back, s.mem) > i/3 {
			s.lostSetting("+CPMS")
			if err := s.chooseStorage(); err != nil {
				return err
			}
			break
		}
	}
	return s.applySettings()
}
