package intake

import (
	"slices"
	"strings"
	"testing"

	"pinward/daemon/contact"
	"pinward/hl7"
	"pinward/store"
)

// wishes lists what goes back of wishes, "peer patient wish".
func (b *box) wishes() (list []string) {
	b.T.Helper()
	for _, r := range b.Entries(ActionWish) {
		at := map[string]string{}
		for _, a := range r.Entry.Attrs {
			at[a.Key] = a.Value
		}
		o, err := hl7.DecodeOrder(at["order"])
		if err != nil || o.Peer != at["peer"] || o.App != "EPIC" || o.OurApp != "PINWARD" || o.Patient.Authority.NamespaceID != "RIV" {
			b.T.Errorf("%v", err)
		}
		list = append(list, o.Peer+" "+o.Patient.ID+" "+at["wish"])
	}
	slices.Sort(list)
	return list
}

// TestTellWish: a STOP goes back to the peers that ask for it and that told of a patient with the number, whoever told first, once
// for each such patient; who asks for nothing, or told of nobody, hears nothing.
func TestTellWish(t *testing.T) {
	b := newBox(t)
	asks := PeerPolicy{Back: []string{"optout"}, Apps: []string{"EPIC"}, ReceivingApps: []string{"PINWARD"}}
	b.policy(Policy{Releasable: []string{"*"}, Peers: map[string]PeerPolicy{"adt": asks, "siu": asks, "lab": {Back: []string{"sent"}}, "other": asks}})
	from := func(peer string, message string) {
		l := b.in.listener
		b.listen(Listener{Name: peer, Mode: contact.Live})
		sendOK(t, b, message)
		b.listen(l)
	}
	child := strings.NewReplacer("4711", "4712", "DOE", "ROE").Replace(jane)
	from("siu", siu("S12", clock(3, 9), ""))
	from("adt", "ADT^A08\n"+jane)
	from("adt", "ADT^A08\n"+child)
	from("lab", "ADT^A08\n"+child)
	from("other", "ADT^A08\n"+strings.NewReplacer("4711", "4713", "6175551234", "6175551299").Replace(jane))
	phone, err := contact.ParsePhone("+16175551234", contact.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	b.Do(func(tx *store.Tx) error { return TellWish(tx, phone, hl7.WishOut) })
	if got, want := b.wishes(), []string{"adt 4711 OUT", "adt 4712 OUT", "siu 4711 OUT"}; !slices.Equal(got, want) {
		t.Errorf("told are %q, want %q", got, want)
	}
	// A feed that only speaks of somebody who is known is one that told of them.
	from("other", result)
	b.Do(func(tx *store.Tx) error { return TellWish(tx, phone, hl7.WishIn) })
	if got := b.wishes(); !slices.Contains(got, "other 4711 IN") || len(got) != 7 {
		t.Errorf("told are %q", got)
	}
}
