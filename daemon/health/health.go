// Package health judges a tree of what depends on what and names the one root cause.
//
// A node is asked only while what it stands on is well; below something that failed, everything
// "depends on" it, so a lost TPM is one red lamp and not twenty. The package knows no part of the
// house: whoever builds the tree brings the questions.
package health

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// State of a node. The order is that of weight in a sum: one failure outweighs any warning.
type State uint8

const (
	OK      State = iota
	Unknown       // could not be asked, or depends on something that failed
	Warn          // works, somebody should look
	Fail          // does not work
)

var names = [...]string{"ok", "unknown", "warn", "fail"}

// String gives "ok", "unknown", "warn" or "fail".
func (s State) String() string {
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText is String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what String gives.
func (s *State) UnmarshalText(b []byte) error {
	for i, n := range names {
		if n == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("unknown health state")
}

// Check is one question, and the questions that make sense only if its answer is good.
type Check struct {
	Name string
	// Ask answers for this node alone. The cause is a short sentence for the operator; it may name a
	// modem or a peer, never a patient's anything. nil is always OK: a node that only groups. It must
	// return at once: it is called while somebody waits for the page.
	Ask      func() (state State, cause string)
	Children []Check
}

// Node is the answer to one Check at one time.
type Node struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Cause    string    `json:"cause,omitempty"`
	Since    time.Time `json:"since"` // since when State has been this
	Children []Node    `json:"children,omitempty"`
}

// Judge asks the tree. before is the last answer (a zero Node the first time); a node whose state is
// what it was keeps its Since.
func Judge(c Check, before Node, now time.Time) Node {
	return judge(c, before, now, "")
}

// judge has in failed the name of the nearest failed ancestor, "" while all are well.
func judge(c Check, before Node, now time.Time, failed string) Node {
	n := Node{Name: c.Name, Since: now}
	switch {
	case failed != "":
		n.State, n.Cause = Unknown, "depends on "+failed
	case c.Ask != nil:
		n.State, n.Cause = c.Ask()
	}
	if before.Name == n.Name && before.State == n.State && !before.Since.IsZero() {
		n.Since = before.Since
	}
	// What only warns still carries what stands on it; of what could not be asked nothing is known.
	if failed == "" && (n.State == Fail || n.State == Unknown) {
		failed = c.Name
	}
	for _, child := range c.Children {
		n.Children = append(n.Children, judge(child, before.child(child.Name), now, failed))
	}
	return n
}

func (n Node) child(name string) Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return Node{}
}

// Worst returns the weightiest state in the tree.
func (n Node) Worst() State {
	w := n.State
	for _, c := range n.Children {
		w = max(w, c.Worst())
	}
	return w
}

// Cause is a node that is not well though everything that it stands on is.
type Cause struct {
	Path  []string  `json:"path"` // from the root, the node itself last
	State State     `json:"state"`
	Cause string    `json:"cause"`
	Since time.Time `json:"since"`
}

// Causes lists the root causes, failures before warnings before what could not be asked, and within
// these the oldest first: what broke first has often broken the rest. What merely depends on one of
// them is not listed. No causes: all is well.
func (n Node) Causes() []Cause {
	var list []Cause
	n.causes(nil, &list)
	slices.SortStableFunc(list, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.State, a.State), a.Since.Compare(b.Since))
	})
	return list
}

func (n Node) causes(above []string, list *[]Cause) {
	path := append(above[:len(above):len(above)], n.Name)
	if n.State != OK {
		*list = append(*list, Cause{Path: path, State: n.State, Cause: n.Cause, Since: n.Since})
	}
	if n.State == Fail || n.State == Unknown {
		return
	}
	for _, c := range n.Children {
		c.causes(path, list)
	}
}
