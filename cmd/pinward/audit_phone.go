package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"
)

// foundEntries are what a search of the audit finds.
type foundEntries struct {
	Items []struct {
		Seq                    uint64
		At                     time.Time
		Actor, Action, Outcome string
		Object                 string
		OnBehalfOf             string `json:"on_behalf_of"`
		Attrs                  map[string]string
	}
}

func (f foundEntries) print() {
	for _, e := range f.Items {
		fmt.Printf("%8d  %s  %-28s %-22s %-8s %s", e.Seq, e.At.Local().Format(time.DateTime), e.Actor, e.Action, e.Outcome, e.Object)
		if e.OnBehalfOf != "" {
			fmt.Printf("  for %s", e.OnBehalfOf)
		}
		for _, key := range slices.Sorted(maps.Keys(e.Attrs)) {
			fmt.Printf("  %s=%s", key, e.Attrs[key])
		}
		fmt.Println()
	}
}

// searchPhone looks for entries that name a number. It is read from the terminal or from the input, and
// goes to the daemon in the body: arguments are seen by ps, kept in the shell's history and in logs of
// sudo.
func (c *client) searchPhone(ctx context.Context, action, from, to string, limit int) error {
	number, err := prompt(bufio.NewReader(os.Stdin), "number", false)
	if err != nil {
		return err
	}
	req := map[string]any{"phone": number, "limit": limit}
	for name, v := range map[string]string{"action": action, "from": from, "to": to} {
		if v != "" {
			req[name] = v
		}
	}
	var found foundEntries
	show, err := c.call(ctx, http.MethodPost, "/audit/search", req, &found)
	if show {
		found.print()
	}
	return err
}
