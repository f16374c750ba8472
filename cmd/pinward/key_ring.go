package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// keyList shows the keys on the ring.
func (c *client) keyList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the keys that seal what the store holds: for what, from when to when, and what was shredded", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []struct {
				Purpose        string
				Epoch          uint32
				From, To, Seen time.Time
				Shredded, Held bool
			}
			show, err := c.call(cmd.Context(), http.MethodGet, "/key/list", nil, &list)
			if !show {
				return err
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PURPOSE\tEPOCH\tFROM\tTO\tSTATE")
			for _, k := range list {
				state, to := "in the ring", k.To.AddDate(0, 0, -1).Format(time.DateOnly)
				if k.To.IsZero() {
					to = "-"
				}
				switch {
				case k.Purpose == "index" && k.Epoch == 0:
					fmt.Fprintln(w, "index\t0\t-\t-\tas an older version made it: pinward key rotate --index")
					continue
				case k.Shredded:
					state = "shredded: its entries cannot be read any more, and still prove"
				case k.Held:
					state = "in the ring, under a hold"
				}
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", k.Purpose, k.Epoch, k.From.Format(time.DateOnly), to, state)
			}
			return w.Flush()
		},
	}
}

// keyShred drops the key of a month's entries.
func (c *client) keyShred() *cobra.Command {
	var sure bool
	cmd := &cobra.Command{
		Use: "shred MONTH", Short: "Make the audit entries of a month unreadable for good, when their six years are over", Args: cobra.ExactArgs(1),
		Long: "Shred drops the key of a month's audit entries (2026-11). Nobody can read their bodies from then on; that\n" +
			"they were there, in their order, by whom under a pseudonym and with what outcome, can still be proved.\n" +
			"It is refused before the time is over for which entries are kept, six years at least, and under a hold.\n" +
			"It cannot be undone.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !sure {
				return errors.New("this cannot be undone: nobody can read the entries of " + args[0] + " after it. Say --yes if that is what you want")
			}
			show, err := c.call(cmd.Context(), http.MethodPost, "/key/shred", map[string]string{"month": args[0]}, nil)
			if show {
				fmt.Printf("The entries of %s are shredded.\n", args[0])
				fmt.Println("Two copies of the key are left: on this disk under the present root key, which pinward key rotate ends,")
				fmt.Println("and in backups made until now: destroy those, and make a new one.")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&sure, "yes", false, "do it; it cannot be undone")
	return cmd
}
