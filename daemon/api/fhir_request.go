package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

const fhirRequestType = "CommunicationRequest"

// fhirGroup holds the requests of one caller: their identifiers are business keys within it.
func fhirGroup(p access.Principal) string { return "fhir/" + string(p.Actor.Kind) + ":" + p.Actor.ID }

func createRequest(a *api, r *http.Request, body []byte) (decision, error) {
	if err := fhirMediaType(r); err != nil {
		return decision{}, err
	}
	var req communicationRequest
	d, err := decodeResource(body, fhirRequestType, &req)
	if err != nil {
		return decision{}, err
	}
	site, err := a.site(r.Context())
	if err != nil {
		return decision{}, err
	}
	ask, err := req.meaning(d, site)
	if err != nil {
		return decision{}, err
	}
	conditional, err := ask.ifNoneExist(r.Header.Get("If-None-Exist"))
	if err != nil {
		return decision{}, err
	}
	return decision{ask.onBehalfOf, func(tx *store.Tx, p access.Principal) (int, any, error) {
		id, already, err := ask.send(tx, p, site, conditional)
		if err != nil {
			return 0, nil, err
		}
		status := http.StatusCreated
		if already {
			status = http.StatusOK
		}
		answer, err := showRequest(tx, id)
		return status, answer, err
	}}, nil
}

// send asks for the notice. A request with an identifier that came before is that request, also when it
// was revoked since; another one with it is refused.
func (ask asked) send(tx *store.Tx, p access.Principal, site contact.Site, conditional bool) (id string, already bool, err error) {
	if ask.key != "" {
		n, err := notice.FindKey(tx, fhirGroup(p), ask.key)
		if err == nil {
			kept, _ := keptOf(n)
			if !conditional && !bytes.Equal(kept.Digest, ask.kept.Digest) {
				return "", false, &placed{errDuplicate, fhirRequestType + ".identifier"}
			}
			return n.ID, true, nil
		}
		if !errors.Is(err, notice.ErrNotFound) {
			return "", false, err
		}
	}
	req, err := ask.notice(tx, p, site)
	if err != nil {
		return "", false, ask.place(refuseNotice(tx, ask.template, err))
	}
	n, _, err := notice.Send(tx, req)
	return n.ID, false, ask.place(err)
}

func (ask asked) notice(tx *store.Tx, p access.Principal, site contact.Site) (notice.Request, error) {
	lang := ask.lang
	if lang == "" {
		s, known, err := contact.Find(tx, ask.subject)
		if err != nil {
			return notice.Request{}, err
		}
		if lang = site.Language(); known && s.Language != "" {
			lang = s.Language
		}
	}
	n := notice.Request{
		To: ask.to.phone, Lang: lang, Subject: ask.subject, At: ask.at, Expires: ask.expires, Urgent: ask.urgent, Call: ask.call,
		Client: p.Actor.ID, OnBehalfOf: onBehalf(p, ask.onBehalfOf), Staff: p.Staff, Mode: modeOf(p), From: clientOf(p), Once: true,
	}
	if ask.key != "" {
		n.Group, n.Key = fhirGroup(p), ask.key
	}
	switch {
	case ask.dead:
		return n, consent.ErrDead
	case ask.to.err != nil:
		return n, ask.to.err
	}
	t, err := ask.fill(tx, site, lang, &n)
	if err != nil {
		return n, err
	}
	if ask.class != "" && t.Class != ask.class {
		return n, errCategory
	}
	n.Template, n.Lang, n.Bulk = t.Name, t.Lang, t.Class == text.Marketing
	if err := text.Guard(n.Slots, ask.words); err != nil {
		return n, err
	}
	n.Door, err = sealed(ask.kept)
	return n, err
}

// fill finds the template and its slots: by name, or by the whole text that it must give letter for letter.
func (ask asked) fill(tx *store.Tx, site contact.Site, lang string, n *notice.Request) (t text.Template, err error) {
	if ask.body != "" {
		list, err := text.List(tx)
		if err != nil {
			return t, err
		}
		values := text.Values{}
		values.SetBrand(site.Brand)
		values.SetPhone(site.HelpPhone)
		t, n.Slots, err = text.Match(list, ask.body, values, site.LinkHosts, site.Location(), tx.Now())
		return t, err
	}
	t, err = text.Find(tx, ask.template, lang)
	if errors.Is(err, text.ErrNoTemplate) {
		err = notice.ErrUnknownTemplate
	}
	if err != nil {
		return t, err
	}
	n.Slots, err = t.Fill(ask.slots, site.LinkHosts)
	return t, err
}

var errCategory = errors.New("the category is not the template's")

// place tells which element a refusal is about.
func (ask asked) place(err error) error {
	at := ""
	_, isSlot := errors.AsType[*text.SlotError](err)
	_, isNumber := errors.AsType[*contact.NumberError](err)
	switch {
	case err == nil || !refusal(err):
		return err
	case isSlot, errors.Is(err, notice.ErrUnknownTemplate), errors.Is(err, text.ErrNoMatch):
		at = ".payload[0].content"
	case isNumber, ask.to.err != nil && errors.Is(err, ask.to.err):
		at = ".recipient[0]"
	case errors.Is(err, errCategory):
		at = ".category"
	case errors.Is(err, notice.ErrNoVoice), errors.Is(err, notice.ErrNoCalls):
		at = ".medium"
	case errors.Is(err, notice.ErrPointless):
		at = ".occurrence"
	default:
		at = ".subject"
	}
	return &placed{err, fhirRequestType + at}
}

// readRequest gives a request that came by FHIR; a notice that came otherwise is none.
func readRequest(_ *api, r *http.Request, tx *store.Tx, p access.Principal) (any, error) {
	id := r.PathValue("id")
	if err := ownNotice(tx, id, p); err != nil {
		return nil, err
	}
	req, err := showRequest(tx, id)
	if err == nil {
		err = vread(r, &req.Meta)
	}
	return req, err
}

func keptOf(n notice.Notice) (k fhirKept, ok bool) {
	if len(n.Door) == 0 || json.Unmarshal(n.Door, &k) != nil {
		return fhirKept{}, false
	}
	return k, true
}

func showRequest(tx *store.Tx, id string) (communicationRequest, error) {
	n, _, err := notice.Get(tx, id)
	if err != nil {
		return communicationRequest{}, err
	}
	k, ok := keptOf(n)
	if !ok {
		return communicationRequest{}, notice.ErrNotFound
	}
	f, err := fateOf(tx, n)
	if err != nil {
		return communicationRequest{}, err
	}
	out := communicationRequest{
		ResourceType: fhirRequestType, ID: fhirID(n.ID), Identifier: k.Identifier, Category: k.Category, Priority: k.Priority,
		Medium: k.Medium, Subject: patientRef(n.Subject), About: k.About, OccurrenceDateTime: k.At, OccurrencePeriod: k.Period,
		AuthoredOn: k.AuthoredOn, Requester: k.Requester, StatusReason: f.reason.concept(),
		Payload: []fhirPayload{{ContentString: payloadOf(n)}},
	}
	var version string
	out.Status, version = f.request()
	out.Meta = fhirMeta{VersionID: version, LastUpdated: fhirInstant(stampOf(f.changed))}
	return out, nil
}

// payloadOf is the template and its slots, as a payload names them: the text itself is kept nowhere.
func payloadOf(n notice.Notice) string {
	v := url.Values{}
	for slot, value := range n.Slots {
		v.Set(slot, value)
	}
	if len(v) == 0 {
		return n.Template
	}
	return n.Template + "?" + v.Encode()
}

var (
	errVersion = errors.New("another version than the one named in If-Match")
	errChange  = errors.New("only the status can change, to revoked")
)

// revokeRequest takes a request back before it is out. Its other elements must be as they were, as they
// were sent, or be left out.
func revokeRequest(_ *api, r *http.Request, body []byte) (decision, error) {
	if err := fhirMediaType(r); err != nil {
		return decision{}, err
	}
	var req communicationRequest
	d, err := decodeResource(body, fhirRequestType, &req)
	if err != nil {
		return decision{}, err
	}
	id := r.PathValue("id")
	if string(req.ID) != id {
		return decision{}, oneFinding(http.StatusBadRequest, "invalid", fhirRequestType+".id", "the id of the address must be in the resource")
	}
	return decision{do: func(tx *store.Tx, p access.Principal) (int, any, error) {
		if err := ownNotice(tx, id, p); err != nil {
			return 0, nil, err
		}
		now, err := showRequest(tx, id)
		if err != nil {
			return 0, nil, err
		}
		if tags := r.Header.Get("If-Match"); tags != "" && !namesVersion(tags, now.Meta.VersionID) {
			return 0, nil, errVersion
		}
		if err := sameRequest(tx, id, now, digest(d.tree)); err != nil {
			return 0, nil, err
		}
		if req.Status == now.Status {
			return http.StatusOK, now, nil
		}
		if req.Status != "revoked" {
			return 0, nil, &placed{errChange, fhirRequestType + ".status"}
		}
		done, err := notice.Cancel(tx, id, "revoked by the client")
		if err == nil && !done {
			err = &placed{outbox.ErrOver, fhirRequestType + ".status"}
		}
		if err != nil {
			return 0, nil, err
		}
		answer, err := showRequest(tx, id)
		return http.StatusOK, answer, err
	}}, nil
}

// sameRequest compares what came with what was sent once and with what a read gives.
func sameRequest(tx *store.Tx, id string, now communicationRequest, came []byte) error {
	if came == nil {
		return nil
	}
	n, _, err := notice.Get(tx, id)
	if err != nil {
		return err
	}
	k, _ := keptOf(n)
	b, err := json.Marshal(now)
	if err != nil {
		return err
	}
	tree, err := readTree(b)
	if err != nil {
		return err
	}
	if !bytes.Equal(came, k.Digest) && !bytes.Equal(came, digest(tree)) {
		return &placed{errChange, fhirRequestType}
	}
	return nil
}
