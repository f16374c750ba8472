package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// siteFlags is the hospital, as set-up takes it.
type siteFlags struct {
	Name      string `json:"name"`
	Brand     string `json:"brand"`
	Zone      string `json:"zone"`
	Region    string `json:"region"`
	Area      string `json:"area"`
	HelpPhone string `json:"help_phone"`
	Authority string `json:"authority"`
	Mode      string `json:"mode"`
}

// installation is one run of set-up.
type installation struct {
	*client
	site           siteFlags
	admin          string
	holders        []string
	kitDir         string
	withPassphrase bool
	resume, again  bool
	override       string
	in             *bufio.Reader
}

const setupLong = `Setup makes the keys of an empty box, its recovery kit and its first person, in three steps:

  1. It asks for the first person's password (and, with --passphrase, for the unsealing passphrase),
     and for the names of three people, who each keep one share of the kit. It prints the shares, and
     with --kit DIR writes a page for each to print and seal (kit.html).
  2. The drill: two shares are typed in again, from the paper. Any two of them open the box without
     its TPM; a kit that nobody has tried is none.
  3. A witness off this box must have received a head of the audit: see [[witness]] in pinward.toml.

Until all three are done the box works in shadow and texts nobody. setup --continue takes up where it
was left. Where input is no terminal one line is read for each question, and with --kit the drill
reads two of the files that were written: so set-up can run unattended.`

// setup commissions an empty box.
func (c *client) setup() *cobra.Command {
	s := &installation{client: c}
	var page bool
	cmd := &cobra.Command{
		Use: "setup", Short: "Commission an empty box: make its keys, its recovery kit and its first person", Args: cobra.NoArgs,
		Long: setupLong,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.in = bufio.NewReader(os.Stdin)
			if page {
				return s.showTicket(cmd.Context())
			}
			if s.resume {
				return s.proceed(cmd.Context(), nil)
			}
			return s.begin(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.site.Name, "name", "", "name of the site")
	f.StringVar(&s.site.Brand, "brand", "", "neutral name that begins each text")
	f.StringVar(&s.site.Zone, "zone", "", "IANA time zone, such as America/New_York")
	f.StringVar(&s.site.Region, "region", "US", "country whose numbers are written without a country code")
	f.StringVar(&s.site.Area, "area", "", "area code of numbers written without one")
	f.StringVar(&s.site.HelpPhone, "help-phone", "", "number that a text tells people to call")
	f.StringVar(&s.site.Authority, "authority", "", "assigning authority of the site's record numbers")
	f.StringVar(&s.site.Mode, "mode", "shadow", "shadow, pilot or live, once set-up is finished; live waits in pilot for pinward commission")
	f.StringVar(&s.override, "override", "", "go live at the end of set-up without pinward commission, for this `REASON`: the two holders of the drill answer for it")
	f.StringVar(&s.admin, "admin", "admin", "user name of the first person")
	f.StringSliceVar(&s.holders, "holder", nil, "who keeps a share of the recovery kit; three times")
	f.StringVar(&s.kitDir, "kit", "", "folder to write the shares and a page to print into: not on this box")
	f.BoolVar(&s.withPassphrase, "passphrase", false, "ask for an unsealing passphrase")
	f.BoolVar(&s.resume, "continue", false, "go on with a set-up that was begun: the drill, the witness")
	f.BoolVar(&s.again, "again", false, "begin anew: discard a set-up whose kit was never tried")
	f.BoolVar(&page, "page", false, "show a code for doing this in a browser; on a sealed box, for unsealing")
	cmd.MarkFlagsMutuallyExclusive("continue", "again", "page")
	return cmd
}

// showTicket has a code shown that lets one browser through.
func (s *installation) showTicket(ctx context.Context) error {
	var t struct {
		Code, Path string
		Until      time.Time
	}
	show, err := s.call(ctx, http.MethodPost, "/setup/page", struct{}{}, &t)
	if show {
		fmt.Printf("Open https://ADDRESS-OF-THIS-BOX%s in a browser. Until %s this code is good, once:\n\n  %s\n",
			t.Path, t.Until.Local().Format("15:04"), t.Code)
	}
	return err
}

// begin makes the keys, hands the kit out, and goes on as far as it can.
func (s *installation) begin(ctx context.Context) error {
	for _, f := range []struct{ flag, value string }{
		{"name", s.site.Name}, {"brand", s.site.Brand}, {"zone", s.site.Zone}, {"authority", s.site.Authority},
	} {
		if f.value == "" {
			return fmt.Errorf("--%s is needed", f.flag)
		}
	}
	if s.kitDir != "" { // found out before the keys are made, not after
		if err := os.MkdirAll(s.kitDir, 0o700); err != nil {
			return fmt.Errorf("make folder for the kit: %w", err)
		}
	}
	req, err := s.ask()
	if err != nil {
		return err
	}
	var k kit
	show, err := s.call(ctx, http.MethodPost, "/setup", req, &k)
	if err != nil {
		return err
	}
	// The shares exist nowhere else now: they are shown even if the pages cannot be written.
	if show {
		k.print(os.Stdout)
	}
	if s.kitDir != "" {
		if err := k.write(s.kitDir); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "Pages to print: %s\n", s.kitDir)
	}
	if !show {
		return nil
	}
	return s.proceed(ctx, &k)
}

// ask collects what the first step needs.
func (s *installation) ask() (map[string]any, error) {
	password, err := prompt(s.in, "password for "+s.admin, true)
	if err != nil {
		return nil, err
	}
	req := map[string]any{"site": s.site, "again": s.again, "admin": map[string]string{"name": s.admin, "password": password}}
	if s.withPassphrase {
		if req["passphrase"], err = prompt(s.in, "unsealing passphrase", true); err != nil {
			return nil, err
		}
	}
	for len(s.holders) < 3 {
		name, err := prompt(s.in, fmt.Sprintf("who keeps share %d", len(s.holders)+1), false)
		if err != nil {
			return nil, err
		}
		s.holders = append(s.holders, name)
	}
	req["holders"] = s.holders
	if s.override != "" {
		req["override"] = s.override
	}
	return req, nil
}

// setupStatus is what is left of a set-up.
type setupStatus struct {
	State string
	Setup *struct {
		Drilled string
		Witness string
		Left    []string
	}
}

// proceed does what is left: the drill, then the end. k is nil when the kit is on paper only.
func (s *installation) proceed(ctx context.Context, k *kit) error {
	var st setupStatus
	if err := s.get(ctx, http.MethodGet, "/status", nil, &st); err != nil {
		return err
	}
	switch {
	case st.State != "open":
		return fmt.Errorf("the box is %s: see pinward status", st.State)
	case st.Setup == nil:
		fmt.Println("Set-up is finished.")
		return nil
	case st.Setup.Drilled == "":
		shares, err := s.shares(k)
		if err != nil || shares == nil {
			return err
		}
		if err := s.get(ctx, http.MethodPost, "/setup/drill", map[string]any{"shares": shares}, nil); err != nil {
			return fmt.Errorf("drill: %w", err)
		}
		fmt.Println("The drill passed: these two shares open the box.")
	}
	if err := s.finish(ctx); err != nil {
		return fmt.Errorf("%w; then run: pinward setup --continue", err)
	}
	fmt.Println("Set-up is finished.")
	if s.site.Mode == "live" && s.override == "" {
		fmt.Println("The site is pilot: it goes live after its acceptance (pinward commission), by pinward site mode live.")
	}
	return nil
}

// witnessPatience is how long a witness may need for the head that it is given after the drill.
const witnessPatience = 10 * time.Second

// finish ends set-up, as soon as the witness has its first head.
func (s *installation) finish(ctx context.Context) error {
	for end := time.Now().Add(witnessPatience); ; {
		err := s.get(ctx, http.MethodPost, "/setup/finish", struct{}{}, nil)
		if err == nil || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// shares are the two of the drill: typed in from the paper, or read back from the files just written.
func (s *installation) shares(k *kit) ([]string, error) {
	if s.kitDir != "" {
		return readShares(s.kitDir, 1, 3)
	}
	if k != nil && !term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Println("Set-up is not finished. Write the shares down, then run: pinward setup --continue")
		return nil, nil
	}
	fmt.Println("The drill: type in two of the three shares, as they stand on the paper.")
	return s.twoShares()
}

func (s *installation) twoShares() ([]string, error) { return askShares(s.in) }

// askShares asks for two shares of the kit.
func askShares(in *bufio.Reader) (shares []string, err error) {
	for _, which := range []string{"first share", "second share"} {
		share, err := prompt(in, which, true)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(share) == "" {
			return nil, errors.New("no share was given")
		}
		shares = append(shares, share)
	}
	return shares, nil
}
