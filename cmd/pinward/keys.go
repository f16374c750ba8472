package main

import (
	"bufio"
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

// setup commissions an empty box and shows the recovery kit, once.
func (c *client) setup() *cobra.Command {
	var site struct {
		Name      string `json:"name"`
		Brand     string `json:"brand"`
		Zone      string `json:"zone"`
		Region    string `json:"region"`
		Area      string `json:"area"`
		HelpPhone string `json:"help_phone"`
		Authority string `json:"authority"`
		Mode      string `json:"mode"`
	}
	var admin string
	var withPassphrase bool
	cmd := &cobra.Command{
		Use: "setup", Short: "Commission an empty box: make its keys, its recovery kit and its first person", Args: cobra.NoArgs,
		Long: "Setup asks for the first person's password (and, with --passphrase, for the unsealing passphrase)\n" +
			"on the terminal, or reads one line each from standard input. The three shares that it prints are\n" +
			"shown once: any two of them open the box without its TPM. Give each to another named person.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := bufio.NewReader(os.Stdin)
			password, err := prompt(in, "password for "+admin, true)
			if err != nil {
				return err
			}
			req := map[string]any{"site": site, "admin": map[string]string{"name": admin, "password": password}}
			if withPassphrase {
				if req["passphrase"], err = prompt(in, "unsealing passphrase", true); err != nil {
					return err
				}
			}
			var kit struct {
				Box, Signer string
				Shares      []string
			}
			show, err := c.call(cmd.Context(), http.MethodPost, "/setup", req, &kit)
			if show {
				fmt.Printf("The box %s is open.\n\nSigner of its audit (write it on your sheet, compare it when you verify):\n  %s\n\n", kit.Box, kit.Signer)
				fmt.Println("Recovery kit, shown once. Any two shares open the box without its TPM:")
				for i, share := range kit.Shares {
					fmt.Printf("\nShare %d, held by ______________________\n%s\n", i+1, share)
				}
				fmt.Println("\nA stolen running box is not protected by its TPM: lock it away.")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&site.Name, "name", "", "name of the site")
	f.StringVar(&site.Brand, "brand", "", "neutral name that begins each text")
	f.StringVar(&site.Zone, "zone", "", "IANA time zone, such as America/New_York")
	f.StringVar(&site.Region, "region", "US", "country whose numbers are written without a country code")
	f.StringVar(&site.Area, "area", "", "area code of numbers written without one")
	f.StringVar(&site.HelpPhone, "help-phone", "", "number that a text tells people to call")
	f.StringVar(&site.Authority, "authority", "", "assigning authority of the site's record numbers")
	f.StringVar(&site.Mode, "mode", "shadow", "shadow, pilot or live")
	f.StringVar(&admin, "admin", "admin", "user name of the first person")
	f.BoolVar(&withPassphrase, "passphrase", false, "ask for an unsealing passphrase")
	for _, name := range []string{"name", "brand", "zone", "authority"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag was made three lines above
		}
	}
	return cmd
}

func (c *client) key() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Unseal the box and show how its keys are"}
	var shares, newTPM bool
	unseal := &cobra.Command{
		Use: "unseal", Short: "Open a sealed box by passphrase, or with --kit by two shares of the recovery kit", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := bufio.NewReader(os.Stdin)
			req := map[string]any{}
			ask := []string{"passphrase"}
			if shares {
				ask = []string{"first share", "second share"}
			}
			var got []string
			for _, what := range ask {
				s, err := prompt(in, what, true)
				if err != nil {
					return err
				}
				got = append(got, s)
			}
			if req["passphrase"] = got[0]; shares {
				req = map[string]any{"shares": got, "new_tpm": newTPM}
			}
			show, err := c.call(cmd.Context(), http.MethodPost, "/unseal", req, nil)
			if show {
				fmt.Println("open")
			}
			return err
		},
	}
	unseal.Flags().BoolVar(&shares, "kit", false, "ask for two shares of the recovery kit")
	unseal.Flags().BoolVar(&newTPM, "new-tpm", false, "with --kit: the TPM was cleared, or is another one, and you know that")
	status := c.status()
	status.Short = "Show the state of the box and its keys"
	cmd.AddCommand(unseal, status)
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
