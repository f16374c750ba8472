package intake

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"pinward/hl7"
	"pinward/store"
)

// Peer is one sender as the box's configuration knows it: by its connection. All that is given must
// hold. What its messages must look like is the site's PeerPolicy of the same name.
type Peer struct {
	Name      string
	Addresses []netip.Prefix // none is every one that the listener lets in
	Pins      []string       // SHA-256 of its certificate's key, as hl7.Peer.CertSPKI; none is any
	Subjects  []string       // of its certificate, as hl7.Peer.CertSubject; none is any
	Secret    Secret         // that its messages bear in MSH-8; "" is any
}

// Secret is a shared password in MSH-8. Where a sender has nothing better it is asked for beside its
// address; it goes over the wire in each message. It shows itself nowhere.
type Secret string

// String redacts.
func (s Secret) String() string { return "secret" }

// GoString redacts.
func (s Secret) GoString() string { return s.String() }

// Format redacts for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue redacts.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// in compares in constant time.
func (s Secret) in(m *hl7.Message) bool {
	return s == "" || subtle.ConstantTimeCompare([]byte(s), []byte(m.MSH(8).String())) == 1
}

func (p Peer) at(conn hl7.Peer) bool {
	in := func(n netip.Prefix) bool { return n.Contains(conn.Addr.Addr()) }
	return (len(p.Addresses) == 0 || slices.ContainsFunc(p.Addresses, in)) &&
		(len(p.Pins) == 0 || slices.Contains(p.Pins, conn.CertSPKI)) &&
		(len(p.Subjects) == 0 || slices.Contains(p.Subjects, conn.CertSubject))
}

// PeerPolicy is what the site decides about one sender. An empty list allows all, and an empty value is
// the listener's. A listener without peers has one of its own name.
type PeerPolicy struct {
	// Apps and Facilities are MSH-3 and MSH-4 as sent: the first component, or the whole HD with its
	// delimiters, in exact case. They are no proof of anything, and stand beside address and certificate.
	Apps       []string `json:"apps,omitempty"`
	Facilities []string `json:"facilities,omitempty"`
	// ReceivingApps and ReceivingFacilities are MSH-5 and MSH-6: what the peer calls us.
	ReceivingApps       []string `json:"receiving_apps,omitempty"`
	ReceivingFacilities []string `json:"receiving_facilities,omitempty"`
	// Types are the messages that are taken, "ADT" or "ADT^A04"; others get AR 200.
	Types []string `json:"types,omitempty"`
	// Processing are the values of MSH-11 that are taken; others get AR 202. T and D reach no phone
	// in any case. None is P alone on a live listener, and all on others.
	Processing []string `json:"processing,omitempty"`
	// ACK is "original" or "enhanced" (HL7 v2.5.1 section 2.9).
	ACK string `json:"ack,omitempty"`
	// Charset is that of messages without MSH-18, by its name in table 0211.
	Charset string `json:"charset,omitempty"`
	// Zone is of times that carry none, an IANA name.
	Zone string `json:"zone,omitempty"`
	// YesMeans is what PD1-12 = Y says: "protect", "share" or "ignore"; "" is the site's ShareYes.
	YesMeans string `json:"pd1_12_yes_means,omitempty"`
	// Unknown is what an event without a rule earns: "AA", or "AR" for a feed that is to send no other.
	Unknown string `json:"unknown,omitempty"`
	// Reused is what a control ID earns that comes again with another message: "new" takes it for a new
	// one, as control IDs restart; "AE" refuses it with AE 205. "" is new.
	Reused string `json:"reused,omitempty"`
	// Back are the states of its requests and texts that the peer is told of, by ORU^R01 to the place
	// that the box's configuration names: "queued", "sent", "delivered", "failed"; with "optout" it is told
	// when a patient that it told us of sends STOP or START as well. None is nothing.
	Back []string `json:"back,omitempty"`
	// Paused holds the peer's texts, to be released or dropped; what it says of persons and
	// appointments is kept.
	Paused bool `json:"paused,omitempty"`
}

func (p PeerPolicy) validate() error {
	if p.ACK != "" && p.ACK != "original" && p.ACK != "enhanced" {
		return errors.New("ack is neither original nor enhanced")
	}
	if _, err := time.LoadLocation(p.Zone); err != nil || p.Zone == "Local" {
		return errors.New("zone is no IANA name")
	}
	if p.YesMeans != "" && p.YesMeans != "protect" && p.YesMeans != "share" && p.YesMeans != "ignore" {
		return errors.New("pd1_12_yes_means is none of protect, share, ignore")
	}
	if p.Unknown != "" && p.Unknown != "AA" && p.Unknown != "AR" {
		return errors.New("unknown is neither AA nor AR")
	}
	for _, state := range p.Back {
		if !slices.Contains([]string{"queued", "sent", "delivered", "failed", hl7.ClassOptOut}, state) {
			return errors.New("back has a state that is none of queued, sent, delivered, failed, optout")
		}
	}
	if p.Reused != "" && p.Reused != "new" && p.Reused != "AE" {
		return errors.New("reused is neither new nor AE")
	}
	return nil
}

// sender is a peer with its policy, ready for use.
type sender struct {
	Peer
	PeerPolicy
	zone *time.Location // nil is the ground's
}

// senders are the listener's peers under a policy.
func (l Listener) senders(p Policy) []*sender {
	peers := l.Peers
	if len(peers) == 0 {
		peers = []Peer{{Name: l.Name}}
	}
	list := make([]*sender, 0, len(peers))
	for _, peer := range peers {
		s := &sender{Peer: peer, PeerPolicy: p.Peers[peer.Name]}
		if s.ACK == "" {
			s.ACK = l.ACK
		}
		if s.Zone != "" {
			s.zone, _ = time.LoadLocation(s.Zone) // validated; nil is the site's
		}
		list = append(list, s)
	}
	return list
}

// recognise finds whose message this is: the first peer whose connection it came by and whose names it
// bears. What is no message has no names.
func (g *ground) recognise(conn hl7.Peer, m *hl7.Message) *sender {
	for _, s := range g.senders {
		if s.at(conn) && (m.Len() == 0 || s.names(m) && s.Secret.in(m)) {
			return s
		}
	}
	return nil
}

func (p PeerPolicy) names(m *hl7.Message) bool {
	for i, list := range [...][]string{p.Apps, p.Facilities, p.ReceivingApps, p.ReceivingFacilities} {
		if f := m.MSH(3 + i); len(list) > 0 && !slices.Contains(list, f.Comp(1).String()) && !slices.Contains(list, f.String()) {
			return false
		}
	}
	return true
}

// takes holds type and event of a message against the peer's list.
func (p PeerPolicy) takes(code, event string) bool {
	return len(p.Types) == 0 || slices.Contains(p.Types, code) || slices.Contains(p.Types, code+"^"+event)
}

// ActionRefusePeer is recorded of messages from nobody that we know: a Security Alert.
const ActionRefusePeer store.Action = "hl7.peer.refused"

// turnAway answers a message of nobody that we know, with AR 207 and no detail. The 1st, 2nd, 4th, 8th
// ... from an address leave an entry: a sender that tries all night must not fill the audit.
func (in *Intake) turnAway(ctx context.Context, conn hl7.Peer, m *hl7.Message, zone *time.Location) ([]byte, error) {
	n := in.strangers.count(conn.Addr.Addr())
	if n&(n-1) == 0 {
		attrs := []store.Attr{
			{Key: "listener", Value: in.listener.Name}, {Key: "address", Value: conn.Addr.Addr().String()},
			{Key: "certificate", Value: clip(conn.CertSubject)}, {Key: "times", Value: fmt.Sprint(n)},
		}
		err := in.store.Accept(ctx, in.actor(in.listener.Name, m), func(tx *store.Tx) error {
			return tx.Record(store.Entry{Action: ActionRefusePeer, Outcome: store.Refused, Attrs: attrs})
		})
		if err != nil {
			return nil, fmt.Errorf("record refused peer: %w", err)
		}
	}
	now := time.Now()
	if zone != nil {
		now = now.In(zone)
	}
	return hl7.Ack(m, hl7.AckOptions{Err: &stranger, Now: now}), nil
}

// Refused leaves a Security Alert of a connection that the port did not serve: an address that is not
// allowed, a certificate that is not believed, another protocol. It does not wait for the store, as it is
// called where connections are accepted; what comes while one is being written is counted with the next.
func (in *Intake) Refused(conn hl7.Peer, cause error) {
	n := in.strangers.count(conn.Addr.Addr())
	if n&(n-1) != 0 || !in.alerting.TryLock() {
		return
	}
	in.alerts.Go(func() {
		defer in.alerting.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), alertPatience)
		defer cancel()
		err := in.store.Update(ctx, store.Actor{Kind: "peer", ID: in.listener.Name + "/unknown"}, func(tx *store.Tx) error {
			return tx.Record(store.Entry{Action: ActionRefusePeer, Outcome: store.Refused, Attrs: []store.Attr{
				{Key: "listener", Value: in.listener.Name}, {Key: "address", Value: conn.Addr.Addr().String()},
				{Key: "why", Value: clip(cause.Error())}, {Key: "times", Value: fmt.Sprint(n)},
			}})
		})
		if err != nil {
			in.log.Error("record refused connection", "listener", in.listener.Name, "error", err)
		}
	})
}

// alertPatience is how long the store may take over an alert.
const alertPatience = 10 * time.Second

// Close waits for what Refused is writing.
func (in *Intake) Close() { in.alerts.Wait() }
