package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// prompt asks on the terminal; a secret is not shown. Where input is no terminal one line is read,
// so that set-up can run unattended.
func prompt(in *bufio.Reader, what string, secret bool) (string, error) {
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(os.Stderr, what+": ")
		if secret {
			b, err := term.ReadPassword(fd)
			fmt.Fprintln(os.Stderr)
			return string(b), err
		}
	}
	line, err := in.ReadString('\n')
	if err != nil && line == "" {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func (c *client) key() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Unseal the box and show how its keys are"}
	var shares, share, newTPM, withPassphrase bool
	var rollback string
	unseal := &cobra.Command{
		Use: "unseal", Short: "Open a sealed box by passphrase, or with --kit by two shares of the recovery kit", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := bufio.NewReader(os.Stdin)
			req := map[string]any{}
			var err error
			switch {
			case shares:
				req["new_tpm"], req["accept_rollback"] = newTPM, rollback
				req["shares"], err = askShares(in)
			case share:
				req["new_tpm"], req["accept_rollback"] = newTPM, rollback
				var one string
				one, err = prompt(in, "share", true)
				req["shares"] = []string{one}
			default:
				req["passphrase"], err = prompt(in, "passphrase", true)
			}
			if err == nil && withPassphrase && (shares || share) {
				req["passphrase"], err = prompt(in, "new unsealing passphrase", true)
			}
			if err != nil {
				return err
			}
			if rollback != "" && !shares && !share {
				return errors.New("--accept-rollback needs --kit: two holders of the recovery kit decide that")
			}
			var now struct{ State, Next string }
			show, err := c.call(cmd.Context(), http.MethodPost, "/unseal", req, &now)
			if show && now.State != "open" {
				fmt.Printf("1 of 2 shares is here: %s\n", now.Next)
			} else if show {
				fmt.Println("open")
				if rollback != "" {
					fmt.Println("If the store was older than the TPM's counter, all lanes are held: look at what waits, then run: pinward outbox resume")
				}
			}
			return err
		},
	}
	unseal.Flags().BoolVar(&shares, "kit", false, "ask for two shares of the recovery kit")
	unseal.Flags().BoolVar(&share, "share", false, "ask for one share; another holder gives his elsewhere, within a quarter of an hour")
	unseal.Flags().BoolVar(&withPassphrase, "passphrase", false, "with --kit or --share: ask for the new unsealing passphrase (unseal = \"tpm+passphrase\" or \"operator\")")
	unseal.MarkFlagsMutuallyExclusive("kit", "share")
	unseal.Flags().BoolVar(&newTPM, "new-tpm", false, "with --kit: the TPM was cleared, or is another one, and you know that")
	unseal.Flags().StringVar(&rollback, "accept-rollback", "", "with --kit: take a store that is older than the TPM's counter; say who decides that and `WHY`")
	drill := &cobra.Command{
		Use: "drill", Short: "Prove with two shares that the recovery kit opens this box; nothing is changed", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			two, err := askShares(bufio.NewReader(os.Stdin))
			if err != nil {
				return err
			}
			show, err := c.call(cmd.Context(), http.MethodPost, "/key/drill", map[string]any{"shares": two}, nil)
			if show {
				fmt.Println("The drill passed: these two shares open the box.")
			}
			return err
		},
	}
	cmd.AddCommand(unseal, drill, c.keyStatus(), c.keySuspend(), c.keyPassphrase(), c.keyLockout(), c.keyList(), c.keyShred(), c.keyRotate())
	return cmd
}

func (c *client) login() *cobra.Command {
	return &cobra.Command{
		Use: "login USER", Short: "Say who you are; every action is recorded under this name", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := prompt(bufio.NewReader(os.Stdin), "password", true)
			if err != nil {
				return err
			}
			var s struct{ Token string }
			if _, err := c.call(cmd.Context(), http.MethodPost, "/login", map[string]string{"user": args[0], "password": password}, &s); err != nil {
				return err
			}
			path := sessionFile(c.socket)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return fmt.Errorf("keep session: %w", err)
			}
			return os.WriteFile(path, []byte(s.Token), 0o600)
		},
	}
}

func (c *client) logout() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "End the session", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := c.call(cmd.Context(), http.MethodPost, "/logout", nil, nil); err != nil {
				return err
			}
			return os.Remove(sessionFile(c.socket))
		},
	}
}
