package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/modem"
	"pinward/store"
)

// query asks a modem one of its profile's questions. Only those are ever given to it, so the entry
// can name the command.
func (d *door) query(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	name, m, err := d.named(r)
	if err != nil {
		return err
	}
	var req struct {
		Command string `json:"command"` // with or without "AT"
	}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	cmd, ok := allowed(m, req.Command)
	if !ok {
		return refuse(http.StatusForbidden, "the profile of this modem allows these only: %s", strings.Join(allowedAll(m), ", "))
	}
	var lines []string
	attrs := []store.Attr{{Key: "command", Value: "AT" + cmd}}
	err = d.order(r, s, name, actQuery, attrs, func(ctx context.Context) (err error) {
		lines, err = m.Query(ctx, cmd)
		return err
	})
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]any{"command": "AT" + cmd, "answer": maskSerials(lines)})
	return nil
}

// allowed finds the query that a person means: with or without AT, in any case of letters.
func allowed(m *modem.Modem, typed string) (cmd string, ok bool) {
	typed = strings.TrimSpace(typed)
	if len(typed) >= 2 && strings.EqualFold(typed[:2], "AT") {
		typed = typed[2:]
	}
	for _, q := range m.Queries() {
		if strings.EqualFold(q, typed) {
			return q, true
		}
	}
	return "", false
}

func allowedAll(m *modem.Modem) []string {
	var out []string
	for _, q := range m.Queries() {
		out = append(out, "AT"+q)
	}
	return out
}

// serials are runs of digits that name a device, a SIM or a subscriber: some modems put them into the
// answer to ATI.
var serials = regexp.MustCompile(`[0-9]{10,}`)

func maskSerials(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = serials.ReplaceAllStringFunc(l, Masked)
	}
	return out
}

// reset restarts a modem, whatever it is doing.
func (d *door) reset(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	name, m, err := d.named(r)
	if err != nil {
		return err
	}
	if err := d.order(r, s, name, actReset, nil, m.Reset); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// forward has the carrier forward calls to the SIM, or no longer; forwarded asks where they go. The
// number is the hospital's own, and stays out of the audit all the same.
func (d *door) forward(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	name, m, err := d.named(r)
	if err != nil {
		return err
	}
	var req struct {
		To string `json:"to"` // "" ends it
	}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	how := "on"
	if req.To == "" {
		how = "off"
	} else if to, err := d.number(r, s, req.To); err != nil {
		return err
	} else {
		req.To = to.E164()
	}
	err = d.order(r, s, name, actForward, []store.Attr{{Key: "forward", Value: how}}, func(ctx context.Context) error { return m.Forward(ctx, req.To) })
	if err == nil {
		answer(w, http.StatusOK, req)
	}
	return err
}

// number reads a phone number as the site writes them.
func (d *door) number(r *http.Request, s *store.Store, typed string) (p contact.Phone, err error) {
	err = s.View(r.Context(), func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		p, err = contact.ParsePhone(typed, site.Plan())
		if _, ok := errors.AsType[*contact.NumberError](err); ok {
			return refuse(http.StatusBadRequest, "%v: write it whole, such as +16175551234", err)
		}
		return err
	})
	return p, err
}

func (d *door) forwarded(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	name, m, err := d.named(r)
	if err != nil {
		return err
	}
	var to string
	err = d.order(r, s, name, actForward, []store.Attr{{Key: "forward", Value: "asked"}}, func(ctx context.Context) (err error) {
		to, err = m.Forwarded(ctx)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, map[string]string{"to": to})
	}
	return err
}

// watchPatience is how long one line may take to reach whoever watches. A terminal that was stopped
// is cut off after it, so that it keeps no stop of the daemon waiting.
const watchPatience = 10 * time.Second

// watch streams the conversation with a modem, masked: what the ring remembers, then each line as it
// comes, one JSON object a line. Who reads too slowly loses lines, and the modem waits for nobody.
func (d *door) watch(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	name, m, err := d.named(r)
	if err != nil {
		return err
	}
	if err := d.order(r, s, name, actWatch, nil, func(context.Context) error { return nil }); err != nil {
		return err
	}
	tail, more := m.Watch(r.Context())
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	enc := json.NewEncoder(w)
	show := func(l modem.TraceLine) error {
		return errors.Join(rc.SetWriteDeadline(time.Now().Add(watchPatience)), enc.Encode(l), rc.Flush())
	}
	for _, l := range tail {
		if show(l) != nil {
			return nil // nobody watches any more
		}
	}
	if r.URL.Query().Has("tail") {
		return nil
	}
	for l := range more {
		if show(l) != nil {
			return nil
		}
	}
	return nil
}
