// Package text holds the wording of everything the box sends: templates with typed slots, per
// language and version, held to one part of an SMS and kept clear of what tells why somebody is a
// patient.
//
// It knows words, slots and the GSM alphabet. It does not know who gets a text, nor whether they may:
// a caller brings values, gets a string, and hands it to a sender. A rendered text is never kept.
package text

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Class is what a text is for, and with that which consent it needs.
type Class string

// Classes of texts.
const (
	Code      Class = "code"      // a person asked for it this minute
	Care      Class = "care"      // allowed until opt-out; ends with the way to opt out
	Marketing Class = "marketing" // needs a recorded opt-in; ends with the way to opt out
	System    Class = "system"    // the answer to a STOP, START or HELP
)

// Template is one text in one language. Its Body holds slots in braces, {name} or {name:type}; a
// slot's type is its name where none is given: "{brand}: {code} is your code", "{start:date}".
type Template struct {
	Name string // "appointment.reminder"
	Lang string // BCP 47 tag, "en", "es"
	Body string

	Class      Class
	Repeatable bool     // may be sent again when its fate is unknown; a doubled text does no harm
	Spoken     bool     // who cannot be texted may be called instead: that call says only that there is a message, and nothing of this text
	Replies    []string // answers that the text asks for, "YES", "NO"; never a word that stops texts

	Version  int       // 0 as shipped; Save counts up
	Reviewer string    // who read it for this language
	Reviewed time.Time // when
}

// Type is what a slot holds, and with that its shape and greatest size.
type Type string

// Types of slots. Brand, Stop, Purpose and Warning are filled by us, whatever a client says.
const (
	Brand   Type = "brand"   // the site's neutral name; every text begins with it
	Site    Type = "site"    // a short place name from the site map
	Time    Type = "time"    // time of day, local
	Date    Type = "date"    // day, local
	Phone   Type = "phone"   // a hospital's number as printed, "617-555-1000"
	Link    Type = "link"    // https address on an allowed host
	CodeNum Type = "code"    // four to ten digits
	Minutes Type = "minutes" // how long a code lives, 1 to 60
	Amount  Type = "amount"  // "$1,250.00"
	Payee   Type = "payee"   // who is paid; a label as brand is
	Purpose Type = "purpose" // what a code is for, in words without PHI; begins with a space
	Warning Type = "warning" // "do not share" or "tell only the staff"; begins with a space; may be empty
	Stop    Type = "stop"    // how to opt out
)

// Greatest sizes of free values, in characters. A test holds every shipped template at these sizes
// to one part.
const (
	MaxBrand = 24
	MaxSite  = 28
	MaxPhone = 16
	MaxLink  = 56
	MaxHost  = 32 // of the auto-fill line
)

// Slot is one hole in a body.
type Slot struct {
	Name string // which value goes in
	Type Type   // how it is checked and printed
}

// types that a body may use.
var types = []Type{Brand, Site, Time, Date, Phone, Link, CodeNum, Minutes, Amount, Payee, Purpose, Warning, Stop}

// piece is a run of fixed text, or a slot where slot.Name is set.
type piece struct {
	fixed string
	slot  Slot
}

// parse cuts a body into pieces. Its errors name the place, never a value: a body is policy.
func parse(body string) ([]piece, error) {
	var pieces []piece
	for rest := body; rest != ""; {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			return append(pieces, piece{fixed: rest}), nil
		}
		if open > 0 {
			pieces = append(pieces, piece{fixed: rest[:open]})
		}
		end := strings.IndexByte(rest, '}')
		if rest[open] == '}' || end < open {
			return nil, fmt.Errorf("brace without its pair at byte %d", len(body)-len(rest)+open)
		}
		name, typ, typed := strings.Cut(rest[open+1:end], ":")
		if !typed {
			typ = name
		}
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return nil, fmt.Errorf("slot at byte %d has no name of small letters", len(body)-len(rest)+open)
		}
		if !slices.Contains(types, Type(typ)) {
			return nil, fmt.Errorf("slot %s has no known type", name)
		}
		pieces = append(pieces, piece{slot: Slot{Name: name, Type: Type(typ)}})
		rest = rest[end+1:]
	}
	return pieces, nil
}

// Slots lists the slots of the body in order, each once.
func (t Template) Slots() ([]Slot, error) {
	pieces, err := parse(t.Body)
	if err != nil {
		return nil, fmt.Errorf("template %s/%s: %w", t.Name, t.Lang, err)
	}
	var list []Slot
	for _, p := range pieces {
		if p.slot.Name != "" && !slices.Contains(list, p.slot) {
			list = append(list, p.slot)
		}
	}
	return list, nil
}
