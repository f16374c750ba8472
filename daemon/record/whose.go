package record

import (
	"cmp"
	"encoding/hex"
	"math/bits"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// About is whom a text or a call was for: an entry of the outbox names only what the text was made for.
type About struct {
	Subject contact.SubjectID
	Phone   contact.Phone
	// OnBehalfOf is the person for whom it was asked, if any.
	OnBehalfOf string
}

// Finder finds whom a text was for by what it was made for, the ref of an outbox entry; zero where that is known no more.
type Finder func(tx *store.Tx, ref string) (About, error)

// AboutText is whom the text of an entry of the outbox was for: by find, and where what it was made for is no more, by the entry that says
// who asked for it. It is zero for any other entry, and where nothing that can be read tells it.
func AboutText(tx *store.Tx, r store.Record, find Finder) About {
	about, _ := whose(tx, r, find)
	return about
}

// whose is AboutText, with how many entries of the log it had to look at.
func whose(tx *store.Tx, r store.Record, find Finder) (about About, looked int) {
	ref := Attr(r.Entry, "ref")
	if ref == "" || find == nil || !strings.HasPrefix(string(r.Entry.Action), "message.") {
		return About{}, 0
	}
	about, err := find(tx, ref)
	if err == nil && about != (About{}) {
		return about, 1
	}
	// What cannot be read must not hold up what is told or found of all the others.
	about, looked, _ = asked(tx, ref, r.Seq)
	return about, looked + 1
}

// maxAtOnce bounds the entries of one millisecond that are looked through for the one that asked for a text.
const maxAtOnce = 512

// asked finds the entry below end by which a verification or a notice was asked for. Their ids begin with the millisecond of their
// transaction, and entries never go back in time.
func asked(tx *store.Tx, id string, end uint64) (about About, looked int, err error) {
	at, ok := idTime(id)
	if !ok {
		return About{}, 0, nil
	}
	from, err := firstAt(tx, end, at)
	if err != nil {
		return About{}, 0, err
	}
	looked = bits.Len64(end)
	err = tx.Entries(from, func(r store.Record) error {
		if looked++; r.Seq >= end || r.Seq-from >= maxAtOnce || !r.Time.Before(at.Add(time.Millisecond)) {
			return store.Stop
		}
		e := r.Entry
		authority, mrn, ok := strings.Cut(e.Subject, "|")
		if e.Object != id || !ok {
			return nil
		}
		about = About{Subject: contact.SubjectID{Authority: authority, MRN: mrn}, OnBehalfOf: cmp.Or(r.Actor.OnBehalfOf, Attr(e, "on_behalf_of"))}
		if err := about.Phone.UnmarshalText([]byte(Attr(e, "phone"))); err != nil {
			about.Phone = contact.Phone{} // one that is on record in no form of ours
		}
		return store.Stop
	})
	return about, looked, err
}

// idTime is the millisecond with which an id begins: two letters and 32 hex digits, of which twelve are it.
func idTime(id string) (time.Time, bool) {
	if len(id) != 2+32 {
		return time.Time{}, false
	}
	b, err := hex.DecodeString(id[2:])
	if err != nil {
		return time.Time{}, false
	}
	ms := int64(0)
	for _, x := range b[:6] {
		ms = ms<<8 | int64(x)
	}
	return time.UnixMilli(ms), true
}
