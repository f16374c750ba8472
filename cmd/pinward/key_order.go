package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// keyStatus shows how the keys stand. A box that is not open shows what status shows.
func (c *client) keyStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how the keys stand: the chip, the recovery kit, the signer, what needs attention", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s struct{ State string }
			if err := c.get(cmd.Context(), http.MethodGet, "/status", nil, &s); err != nil {
				return err
			}
			if s.State != "open" {
				return c.status().RunE(cmd, nil)
			}
			var k struct {
				Mode, Why, Kit, Signer string
				SecureBoot             string `json:"secure_boot"`
				PCRs                   []int
				LastDrill              time.Time `json:"last_drill"`
				Drilled                []int
				Holders                []struct {
					Name string
					Seen time.Time
				}
				Former []struct {
					Fingerprint string
					Until       time.Time
				}
				TPM *struct {
					Manufacturer, Model, Firmware, Revision string
					LockoutCounter, MaxTries                uint32
				}
				TPMError string `json:"tpm_error"`
				Warnings []string
				Anchors  struct {
					Last    time.Time
					Counter uint64
					Error   string
				}
				Index struct {
					Epoch uint32
					Since time.Time
				}
			}
			show, err := c.call(cmd.Context(), http.MethodGet, "/key", nil, &k)
			if !show {
				return err
			}
			line := func(name, format string, args ...any) { fmt.Printf("%-12s %s\n", name, fmt.Sprintf(format, args...)) }
			pcrs := "no boot measurements"
			if len(k.PCRs) > 0 {
				pcrs = "PCR " + strings.Trim(fmt.Sprint(k.PCRs), "[]")
			}
			line("unseal", "%s, sealed to %s", k.Mode, pcrs)
			line("secure boot", "%s", strings.TrimSuffix(k.SecureBoot+", "+k.Why, ", "))
			if k.TPM != nil {
				line("tpm", "%s %s, firmware %s, TPM %s; failed authorisations %d of %d", k.TPM.Manufacturer, k.TPM.Model, k.TPM.Firmware,
					k.TPM.Revision, k.TPM.LockoutCounter, k.TPM.MaxTries)
			} else {
				line("tpm", "%s", k.TPMError)
			}
			if k.LastDrill.IsZero() {
				line("kit", "%s, never tried", k.Kit)
			} else {
				line("kit", "%s, last tried %s with shares %s", k.Kit, k.LastDrill.Local().Format(time.DateOnly), strings.Trim(fmt.Sprint(k.Drilled), "[]"))
			}
			for i, h := range k.Holders {
				seen := "not tried yet"
				if !h.Seen.IsZero() {
					seen = "last seen " + h.Seen.Local().Format(time.DateOnly)
				}
				line("holder", "%s, share %d %s", h.Name, i+1, seen)
			}
			line("signer", "%s", k.Signer)
			for _, f := range k.Former {
				line("", "until %s: %s", f.Until.Local().Format(time.DateOnly), f.Fingerprint)
			}
			if k.Anchors.Error != "" {
				line("anchor", "counter %d: %s", k.Anchors.Counter, k.Anchors.Error)
			} else {
				line("anchor", "counter %d, %s", k.Anchors.Counter, k.Anchors.Last.Local().Format(time.DateTime))
			}
			if k.Index.Epoch == 0 {
				line("index", "as an older version made it: pinward key rotate --index")
			} else {
				line("index", "epoch %d, since %s", k.Index.Epoch, k.Index.Since.Format(time.DateOnly))
			}
			for _, w := range k.Warnings {
				line("attention", "%s", w)
			}
			return nil
		},
	}
}

func (c *client) keySuspend() *cobra.Command {
	var resets int
	var passphrase bool
	cmd := &cobra.Command{
		Use: "suspend", Short: "Let the box open once after a firmware update, whatever is measured", Args: cobra.NoArgs,
		Long: "Suspend prepares one start whose boot measurements nobody knows yet, as after an update of the firmware.\n" +
			"Until that start is over the box is protected by less: whoever takes it opens it, whatever he boots.\n" +
			"Do it right before the update, restart at once, and look at pinward key status afterwards. The chip\n" +
			"itself ends it after that start, used or not.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := map[string]any{"resets": resets}
			if passphrase {
				p, err := prompt(bufio.NewReader(os.Stdin), "unsealing passphrase", true)
				if err != nil {
					return err
				}
				req["passphrase"] = p
			}
			show, err := c.call(cmd.Context(), http.MethodPost, "/key/suspend", req, nil)
			if show {
				fmt.Println("Suspended: update the firmware and restart now.")
			}
			return err
		},
	}
	cmd.Flags().IntVar(&resets, "resets", 1, "how often the machine starts itself in the course of the update, 1 to 8")
	cmd.Flags().BoolVar(&passphrase, "passphrase", false, "ask for the unsealing passphrase (unseal = \"tpm+passphrase\")")
	return cmd
}

func (c *client) keyPassphrase() *cobra.Command {
	var withKit bool
	cmd := &cobra.Command{
		Use: "passphrase", Short: "Change the unsealing passphrase, by the old one or with --kit by two shares", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := bufio.NewReader(os.Stdin)
			req := map[string]any{}
			var err error
			if withKit {
				req["shares"], err = askShares(in)
			} else {
				req["old"], err = prompt(in, "old passphrase", true)
			}
			if err != nil {
				return err
			}
			first, err := prompt(in, "new passphrase", true)
			if err != nil {
				return err
			}
			second, err := prompt(in, "the same again", true)
			if err != nil {
				return err
			}
			if first != second {
				return errors.New("the two are not the same: nothing was changed")
			}
			req["new"] = first
			show, err := c.call(cmd.Context(), http.MethodPost, "/key/passphrase", req, nil)
			if show {
				fmt.Println("Changed. Whoever kept a copy of the box's old state still has use of the old one at this chip: rotate the root key if that matters.")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&withKit, "kit", false, "ask for two shares of the recovery kit in place of the old passphrase")
	return cmd
}

func (c *client) keyLockout() *cobra.Command {
	return &cobra.Command{
		Use: "lockout-reset", Short: "End the TPM's lockout, into which another program's keys brought it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show, err := c.call(cmd.Context(), http.MethodPost, "/key/lockout", struct{}{}, nil)
			if show {
				fmt.Println("The lockout has ended.")
			}
			return err
		},
	}
}
