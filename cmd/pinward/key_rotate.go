package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const keyRotateLong = `Rotate makes a new root key and a new recovery kit: when a holder has left, when a share may have been
seen, and each year. The kit is shown once. Then two of its shares are typed in again, and only that
makes the new key the one in use; until then everything is as it was. Nothing stops meanwhile.

Backups made before still need the kit of before: keep it until they have expired, or make a new backup.
Where input is no terminal, --kit DIR writes the pages, and the drill reads two of its files.

With --index it leaves the root key and the kit alone, and writes the store's file anew, under keys that
were never used: when a keyring may have been seen, such as by a backup and its kit together. It takes
about as long as a backup, and nothing stops meanwhile. Tokens, sessions, codes and whatever is known of
a number stay valid. What older backups, and frozen months of the audit, hold stays as it is.`

// keyRotate replaces the root key and the recovery kit.
func (c *client) keyRotate() *cobra.Command {
	var holders []string
	var kitDir string
	var passphrase, resume, index bool
	cmd := &cobra.Command{
		Use: "rotate", Short: "Replace the root key and the recovery kit, or with --index the keys of the store's file", Args: cobra.NoArgs, Long: keyRotateLong,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if index {
				return c.keyRotateIndex(cmd)
			}
			in := bufio.NewReader(os.Stdin)
			finish := func(shares []string) error {
				if err := c.get(cmd.Context(), http.MethodPost, "/key/rotate/finish", map[string]any{"shares": shares}, nil); err != nil {
					return err
				}
				fmt.Println("Rotated: the new kit opens the box, and the one before no more. Make a backup now: pinward backup FILE")
				return nil
			}
			if resume {
				return finish(nil)
			}
			req := map[string]any{"holders": holders}
			if passphrase {
				p, err := prompt(in, "unsealing passphrase, the present or a new one", true)
				if err != nil {
					return err
				}
				req["passphrase"] = p
			}
			if kitDir == "" && !term.IsTerminal(int(os.Stdin.Fd())) {
				return fmt.Errorf("input is no terminal: --kit DIR is needed, where the pages are written to")
			}
			var k kit
			if err := c.get(cmd.Context(), http.MethodPost, "/key/rotate", req, &k); err != nil {
				return err
			}
			k.printShares(os.Stdout)
			if kitDir == "" {
				fmt.Println("\nThe drill: type in two of the three shares, as they stand on the paper.")
				shares, err := askShares(in)
				if err != nil {
					return err
				}
				return finish(shares)
			}
			if err := os.MkdirAll(kitDir, 0o700); err != nil {
				return fmt.Errorf("make folder for the kit: %w", err)
			}
			if err := k.write(kitDir); err != nil {
				return fmt.Errorf("%w: nothing was changed", err)
			}
			shares, err := readShares(kitDir, 1, 3)
			if err != nil {
				return err
			}
			return finish(shares)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&holders, "holder", nil, "who keeps a share of the new kit; three times")
	f.StringVar(&kitDir, "kit", "", "folder to write the shares and a page to print into: not on this box")
	f.BoolVar(&passphrase, "passphrase", false, "ask for the unsealing passphrase")
	f.BoolVar(&resume, "continue", false, "end a rotation that a crash cut short")
	f.BoolVar(&index, "index", false, "the keys of the store's file and of its index, not the root key")
	for _, other := range []string{"holder", "kit", "passphrase", "continue"} {
		cmd.MarkFlagsMutuallyExclusive("index", other)
	}
	return cmd
}

// keyRotateIndex replaces the keys of the store's file.
func (c *client) keyRotateIndex(cmd *cobra.Command) error {
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprintln(os.Stderr, "Writing the store's file anew; the box goes on working. It ends also if you go away.")
	}
	var now struct{ Epoch uint32 }
	show, err := c.call(cmd.Context(), http.MethodPost, "/key/rotate/index", map[string]any{}, &now)
	if show {
		fmt.Printf("Rotated: the index is in epoch %d. Make a backup now: pinward backup FILE\n", now.Epoch)
	}
	return err
}
