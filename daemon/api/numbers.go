package api

import (
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/record"
	"pinward/store"
)

// numberRequest is the body of POST /v1/numbers: what was learned of a number. It stands in the body, as an address is kept in logs.
type numberRequest struct {
	To      string            `json:"to" required:"true"`
	NoVoice *bool             `json:"no_voice"` // whoever has it wants no calls
	Slow    *bool             `json:"slow"`     // calls speak slower, with longer pauses
	Type    *contact.LineType `json:"type"`     // mobile, landline, or "" to leave it to feeds and sends

	VoiceNotices *bool `json:"voice_notices"` // a landline may be called about notices; key 9 of such a call says no
}

// knownNumber is all that is known of a number, whoever holds it.
type knownNumber struct {
	To          string           `json:"to"`
	NoVoice     bool             `json:"no_voice"`
	Slow        bool             `json:"slow"`
	WrongNumber bool             `json:"wrong_number"`
	Type        contact.LineType `json:"type"`
	TypeSource  string           `json:"type_source"` // desk, api:..., hl7:..., network (what sends have shown), plan, or "" for not known
	Callable    bool             `json:"callable"`    // false: no call goes there, whoever asks
	Notices     bool             `json:"voice_notices"`
	ChangedAt   time.Time        `json:"changed_at,omitzero"`
}

// flagNumber keeps what a caller has learned of a number, and tells what is known of it then. Whoever only asks is on record as having
// looked.
func flagNumber(a *api, r *http.Request, body []byte) (decision, error) {
	var req numberRequest
	if err := decode(r, body, &req); err != nil {
		return decision{}, err
	}
	if req.Type != nil && *req.Type != contact.LineMobile && *req.Type != contact.LineLandline && *req.Type != contact.LineUnknown {
		return decision{}, bad("type", `mobile, landline or ""`)
	}
	site, err := a.site(r.Context())
	if err != nil {
		return decision{}, err
	}
	to := readNumber(req.To, site)
	return decision{do: func(tx *store.Tx, p access.Principal) (int, any, error) {
		if to.err != nil {
			return 0, nil, to.err
		}
		source := "desk"
		if p.Kind != access.KindUser {
			source = "api:" + p.Actor.ID
		}
		if req.VoiceNotices != nil {
			choice := consent.Out
			if *req.VoiceNotices {
				choice = consent.OptedIn
			}
			if err := consent.Set(tx, to.phone, consent.ByVoice, choice, consent.SourceAPI); err != nil {
				return 0, nil, err
			}
		}
		if req.NoVoice == nil && req.Slow == nil && req.Type == nil && req.VoiceNotices == nil {
			if err := record.Viewed(tx, "number", contact.SubjectID{}); err != nil {
				return 0, nil, err
			}
		}
		if err := contact.Flag(tx, to.phone, contact.Flags{NoVoice: req.NoVoice, Slow: req.Slow, Type: req.Type}, source); err != nil {
			return 0, nil, err
		}
		answer, err := showNumber(tx, to.phone)
		return http.StatusOK, answer, err
	}}, nil
}

func showNumber(tx *store.Tx, p contact.Phone) (knownNumber, error) {
	c, err := contact.Of(tx, p)
	if err != nil {
		return knownNumber{}, err
	}
	line, source, err := contact.LineOf(tx, p, contact.SubjectID{})
	if err != nil {
		return knownNumber{}, err
	}
	chosen, err := consent.Of(tx, p)
	if err != nil {
		return knownNumber{}, err
	}
	may, err := contact.MayCall(tx, p)
	return knownNumber{
		To: p.E164(), NoVoice: c.NoVoice, Slow: c.Slow, WrongNumber: c.WrongNumber, Type: line, TypeSource: source, Callable: may, Notices: chosen.Voice != consent.Out, ChangedAt: c.Changed,
	}, err
}
