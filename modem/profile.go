package modem

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed profiles/*.json
var profileFiles embed.FS

// profile is what is special about a family of modules: data, no code. A file in profiles/ for each.
type profile struct {
	Name string `json:"name"`
	Note string `json:"note"` // for whoever reads the file

	// Vendor and Models are prefixes of the answers to +CGMI and +CGMM; both must match. One vendor's commands are never given to
	// another's module.
	Vendor []string `json:"vendor"`
	Models []string `json:"models"`

	Storage  []string            `json:"storage"`   // for +CPMS, in order of preference
	ICCID    []string            `json:"iccid"`     // commands that may tell it, tried in order
	PINTries []string            `json:"pin_tries"` // commands that may tell how many PIN tries are left
	Answers  map[string][]string `json:"answers"`   // prefixes of an answer other than the command's name
	Init     []string            `json:"init"`      // vendor block at the end of bring-up, best effort

	Reset     string   `json:"reset"`      // command that restarts the module
	ResetWait duration `json:"reset_wait"` // how long it is away then

	Limits   map[string]int    `json:"limits"`   // texts that a memory really takes, where it says more or drops what comes then
	Settings Settings          `json:"settings"` // what Options.Settings leaves open
	Toggles  map[string]toggle `json:"toggles"`  // ways to Settings.Radio and Settings.IMS

	Gap         duration `json:"gap"`          // silence that it needs before the next command (Telit 20 ms)
	PromptDelay duration `json:"prompt_delay"` // silence that it needs after its prompt; default 100 ms

	Balance balance `json:"balance"`

	Voice   *voiceProfile `json:"voice"`   // nil: it does not call
	Queries []string      `json:"queries"` // what Query may ask, besides the generic ones
}

// balance is how a prepaid SIM's balance is asked for by USSD. Codes are the carrier's business, not the module's: Options.BalanceCode
// comes first, then the operator's, then the usual one.
type balance struct {
	Code   string            `json:"code"`   // where the operator is in no list
	Codes  map[string]string `json:"codes"`  // by prefix of the operator's name; the generic profile's hold for all
	Packed bool              `json:"packed"` // the module wants and gives packed septets in hexadecimal
	Amount string            `json:"amount"` // regular expression; its first group is the amount
}

// balanceCode is the code for an operator.
func (p profile) balanceCode(operator string) string {
	best := p.Balance.Code
	length := 0
	for name, code := range p.Balance.Codes {
		if len(name) > length && hasPrefixFold(operator, name) {
			best, length = code, len(name)
		}
	}
	return best
}

// duration is a time.Duration written as in "20ms".
type duration time.Duration

// UnmarshalJSON reads the form of time.ParseDuration.
func (d *duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := time.ParseDuration(s)
	*d = duration(v)
	return err
}

// profiles are the embedded files, by name. They are part of the program: a file that does not parse is a broken build, which the
// tests of this package find.
var profiles = sync.OnceValue(func() map[string]profile {
	out := map[string]profile{}
	files, err := profileFiles.ReadDir("profiles")
	if err != nil {
		panic(fmt.Errorf("read embedded profiles: %w", err))
	}
	for _, f := range files {
		b, err := profileFiles.ReadFile(path.Join("profiles", f.Name()))
		if err != nil {
			panic(fmt.Errorf("read embedded profile %s: %w", f.Name(), err))
		}
		var p profile
		if err := json.Unmarshal(b, &p); err != nil {
			panic(fmt.Errorf("parse embedded profile %s: %w", f.Name(), err))
		}
		out[p.Name] = p
	}
	for name, p := range out { // what holds for every module stands once
		own, common := &p.Balance, out["generic"].Balance
		if own.Code == "" {
			own.Code = common.Code
		}
		if own.Amount == "" {
			own.Amount = common.Amount
		}
		if own.Codes == nil {
			own.Codes = common.Codes
		}
		out[name] = p
	}
	return out
})

// generic is the profile of every module that no other knows.
func generic() profile { return profiles()["generic"] }

// profileFor finds the profile of a module by its own words.
func profileFor(vendor, model string) profile {
	best, length := generic(), 0
	for _, p := range profiles() {
		if !anyPrefix(vendor, p.Vendor) {
			continue
		}
		for _, prefix := range p.Models {
			if len(prefix) > length && hasPrefixFold(model, prefix) {
				best, length = p, len(prefix)
			}
		}
	}
	return best
}

func anyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if hasPrefixFold(s, p) {
			return true
		}
	}
	return false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// allows says whether Query may ask cmd: only what the profile or the generic one lists, letter by letter.
func (p profile) allows(cmd string) bool { return slices.Contains(p.queries(), cmd) }

// queries are all that Query may ask: the generic ones first.
func (p profile) queries() []string {
	if p.Name == generic().Name {
		return slices.Clone(p.Queries)
	}
	return slices.Concat(generic().Queries, p.Queries)
}

// Queries lists what Query may ask this modem, without "AT".
func (m *Modem) Queries() []string { return profiles()[m.Status().Profile].queries() }
