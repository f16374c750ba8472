package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// status is what the daemon says of itself.
type status struct {
	State, Cause, Next, Box, Version, Signer, Mode string
	Since                                          time.Time
	Entries, Counter                               uint64
	Anchored                                       time.Time
	Witnesses                                      []witness
	Repository                                     *repository
	Backup                                         *backupState
	Accepts                                        bool
	Queue                                          map[string]int
	Maintenance                                    *maintenance
	Modems                                         map[string]modem
	Alarms                                         []openAlarm
	Health                                         node
}

// openAlarm is an alarm that is not over.
type openAlarm struct {
	ID                    uint64
	Severity, Path, Cause string
	Since                 time.Time
	Seen                  time.Time `json:"acknowledged"`
	SeenBy                string    `json:"acknowledged_by"`
}

// String is the alarm in one line: which, since when, who sees to it, and then what it is.
func (a openAlarm) String() string {
	seen := "NOT acknowledged"
	if a.SeenBy != "" {
		seen = "acknowledged by " + a.SeenBy + " at " + a.Seen.Local().Format(time.DateTime)
	}
	return fmt.Sprintf("%d %s since %s, %s: %s: %s", a.ID, a.Severity, a.Since.Local().Format(time.DateTime), seen, a.Path, a.Cause)
}

type modem struct {
	Phase, Cause, Operator, IMEI, ICCID string
	Vendor, Model                       string
	Ready                               bool
	SignalDBm                           int
}

type node struct {
	Name, State, Cause string
	Children           []node
}

// below is the first node of that name in the tree, an empty one if there is none.
func (n node) below(name string) node {
	if n.Name == name {
		return n
	}
	for _, c := range n.Children {
		if found := c.below(name); found.Name != "" {
			return found
		}
	}
	return node{}
}

// bears tells whether the path leads from the node to another one.
func (n node) bears(path string) bool {
	name, rest, more := strings.Cut(path, "/")
	return slices.ContainsFunc(n.Children, func(c node) bool { return c.Name == name && (!more || c.bears(rest)) })
}

func (c *client) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how the box is; exits 1 unless it would take a code now", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var st status
			show, err := c.call(cmd.Context(), http.MethodGet, "/status", nil, &st)
			if err != nil {
				return err
			}
			if show {
				st.print(os.Stdout)
			}
			if !st.Accepts {
				return exit(1)
			}
			return nil
		},
	}
}

func (st status) print(w io.Writer) {
	fmt.Fprintf(w, "box      %s, pinward %s\n", st.Box, st.Version)
	fmt.Fprintf(w, "state    %s since %s\n", st.State, st.Since.Local().Format(time.DateTime))
	if st.Cause != "" {
		fmt.Fprintf(w, "cause    %s\n", st.Cause)
	}
	if st.Next != "" {
		fmt.Fprintf(w, "next     %s\n", st.Next)
	}
	if st.Maintenance != nil {
		fmt.Fprintf(w, "planned  %s\n", st.Maintenance)
	}
	if st.Mode != "" {
		fmt.Fprintf(w, "mode     %s\n", st.Mode)
	}
	if st.Signer != "" {
		fmt.Fprintf(w, "audit    %d entries, signer %s\n", st.Entries, st.Signer)
	}
	if st.Counter > 0 {
		fmt.Fprintf(w, "anchor   the TPM's counter stood at %d on %s\n", st.Counter, st.Anchored.Local().Format(time.DateTime))
	}
	for _, wi := range st.Witnesses {
		fmt.Fprintf(w, "witness  %s\n", wi)
	}
	if st.Repository != nil {
		fmt.Fprintf(w, "atna     %s\n", st.Repository)
	}
	if st.Backup != nil {
		fmt.Fprintf(w, "backup   %s\n", st.Backup)
	}
	if len(st.Queue) > 0 {
		var lanes []string
		for _, lane := range slices.Sorted(maps.Keys(st.Queue)) {
			lanes = append(lanes, fmt.Sprintf("%s %d", lane, st.Queue[lane]))
		}
		fmt.Fprintf(w, "waiting  %s\n", strings.Join(lanes, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(st.Modems)) {
		m := st.Modems[name]
		how := m.Phase
		if m.Cause != "" {
			how += ": " + m.Cause
		}
		fmt.Fprintf(w, "modem    %-10s %s", name, how)
		if m.Ready {
			fmt.Fprintf(w, "  %s %s, %s, %d dBm", m.Vendor, m.Model, m.Operator, m.SignalDBm)
		}
		fmt.Fprintln(w)
	}
	for _, a := range st.Alarms {
		fmt.Fprintf(w, "alarm    %s\n", a)
	}
	st.Health.print(w, 0)
}

// print shows the tree of what depends on what, down to what is not well.
func (n node) print(w io.Writer, depth int) {
	if n.Name == "" {
		return
	}
	if n.State != "ok" || depth == 0 {
		state := n.State
		if depth == 0 { // the whole, which groups the rest and says nothing of its own
			state = n.worst()
		}
		line := fmt.Sprintf("health   %s%s: %s", strings.Repeat("  ", depth), n.Name, state)
		if n.Cause != "" {
			line += ", " + n.Cause
		}
		fmt.Fprintln(w, line)
	}
	for _, child := range n.Children {
		child.print(w, depth+1)
	}
}

// weights are the states of health, the worst last.
var weights = []string{"ok", "unknown", "warn", "fail"}

// worst is the weightiest state in the tree.
func (n node) worst() string {
	w := n.State
	for _, child := range n.Children {
		if c := child.worst(); slices.Index(weights, c) > slices.Index(weights, w) {
			w = c
		}
	}
	return w
}

// first is the first node of a state that names its cause, with it.
func (n node) first(state string) string {
	if n.State == state && n.Cause != "" {
		return n.Name + ": " + n.Cause
	}
	for _, child := range n.Children {
		if s := child.first(state); s != "" {
			return s
		}
	}
	return ""
}

// because is what, with the first cause of a state. A plugin's line ends its text with a bar.
func (n node) because(state, what string) string {
	if s := n.first(state); s != "" {
		return what + "; " + strings.ReplaceAll(s, "|", "/")
	}
	return what
}

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
