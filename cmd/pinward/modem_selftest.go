package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// selfTest is one text or one call through a SIM; the times are seconds since it began, 0 for what has not happened.
type selfTest struct {
	ID, Modem, To              string
	Call                       bool
	Accepted, Receipt, Arrived float64
	Began, Ended               time.Time
	OK                         bool
	Result                     string
}

func (c *client) modemSelfTest() *cobra.Command {
	var to, call string
	cmd := &cobra.Command{
		Use: "test NAME", Short: "Send a text or make a call through a SIM, and tell how far it came; exits 1 when it failed", Args: cobra.ExactArgs(1),
		Long: "Test sends one text through the SIM of a modem to another SIM of the box, of another carrier if there\n" +
			"is one, and waits until it was accepted, its receipt came and it arrived. With --to it goes to a\n" +
			"number of yours, and the receipt is the proof. It waits ten minutes at the most; ^C ends the waiting\n" +
			"and not the test. The box does the same each night with every SIM; see pinward modem list.\n\n" +
			"With --call it rings a number of yours instead and asks you to press 1, which proves that the\n" +
			"modem, its SIM and the carrier bring sound to a phone, and keys back: no modem can tell that of\n" +
			"itself. Such a modem shows when it was proven and is taken for calls before the others.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var told [3]bool
			t, err := c.selfTestOf(cmd.Context(), args[0], cmp.Or(call, to), call != "", func(t selfTest) {
				if !c.json {
					t.tell(&told)
				}
			})
			if err != nil {
				return err
			}
			if c.json {
				if _, err := c.call(cmd.Context(), http.MethodGet, "/selftests/"+t.ID, nil, nil); err != nil {
					return err
				}
			} else if t.OK {
				fmt.Println("ok:", t.Result)
			} else {
				fmt.Println("failed:", t.Result)
			}
			if !t.OK {
				return exit(1)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "a number that you own, instead of another SIM of the box")
	cmd.Flags().StringVar(&call, "call", "", "ring this number of yours, and ask for key 1")
	cmd.MarkFlagsMutuallyExclusive("to", "call")
	return cmd
}

// selfTestOf begins a self-test, by a text or by a call, and waits for its end; watch sees each look at it.
func (c *client) selfTestOf(ctx context.Context, name, to string, call bool, watch func(selfTest)) (t selfTest, err error) {
	if err := c.get(ctx, http.MethodPost, modemPath(name, "/test"), map[string]any{"to": to, "call": call}, &t); err != nil {
		return t, err
	}
	for {
		if watch(t); !t.Ended.IsZero() {
			return t, nil
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return t, ctx.Err()
		}
		if err := c.get(ctx, http.MethodGet, "/selftests/"+t.ID, nil, &t); err != nil {
			return t, err
		}
	}
}

// tell prints each step once, when it has happened.
func (t selfTest) tell(told *[3]bool) {
	words := [3]string{"the network accepted it", "its receipt came", "it arrived"}
	if t.Call {
		words = [3]string{"the modem calls: press 1 when it asks for it", "it was heard, and the key came", ""}
	}
	for i, step := range []struct {
		after float64
		what  string
	}{{t.Accepted, words[0]}, {t.Receipt, words[1]}, {t.Arrived, words[2]}} {
		if step.after > 0 && !told[i] {
			told[i] = true
			fmt.Fprintf(os.Stdout, "%7.1f s  %s\n", step.after, step.what)
		}
	}
}
