package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func (c *client) clients() *cobra.Command {
	cmd := &cobra.Command{Use: "client", Short: "Let programs in: portals, web servers, scripts"}
	var mode string
	var scopes []string
	add := &cobra.Command{
		Use: "add NAME", Short: "Make an account; its secret is shown once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var made struct{ Account, Secret, Token, Mode string }
			req := map[string]any{"name": args[0], "mode": mode, "scopes": scopes}
			show, err := c.call(cmd.Context(), http.MethodPost, "/clients", req, &made)
			if show {
				fmt.Printf("account  %s\nsecret   %s\ntoken    %s\n", made.Account, made.Secret, made.Token)
				if made.Mode != mode {
					fmt.Printf("mode     %s: %s waits until another person says: pinward client mode %s %s\n", made.Mode, mode, made.Account, mode)
				}
			}
			return err
		},
	}
	add.Flags().StringVar(&mode, "mode", "shadow", "shadow, pilot or live")
	add.Flags().StringSliceVar(&scopes, "scope", nil, "what it may do (default: all that a portal needs)")
	list := &cobra.Command{
		Use: "list", Short: "List the accounts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []struct{ SID, Name, Mode string }
			show, err := c.call(cmd.Context(), http.MethodGet, "/clients", nil, &all)
			if show {
				for _, a := range all {
					fmt.Printf("%s  %-6s  %s\n", a.SID, a.Mode, a.Name)
				}
			}
			return err
		},
	}
	change := &cobra.Command{
		Use: "mode ACCOUNT shadow|pilot|live", Short: "Change how far a client's messages go; live needs two persons", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var now struct{ Mode string }
			show, err := c.call(cmd.Context(), http.MethodPut, "/clients/"+url.PathEscape(args[0])+"/mode", map[string]string{"mode": args[1]}, &now)
			if show && err == nil {
				printMode(now.Mode, args[1])
			}
			return err
		},
	}
	cmd.AddCommand(add, list, change)
	return cmd
}

// printMode tells which mode holds, and what is missing to the wanted one.
func printMode(now, wanted string) {
	fmt.Println("mode", now)
	if now != wanted {
		fmt.Printf("asked for %s: another person says the same within a day\n", wanted)
	}
}

func (c *client) site() *cobra.Command {
	cmd := &cobra.Command{Use: "site", Short: "Show or change what belongs to the hospital: brand, zone, mode"}
	show := &cobra.Command{
		Use: "show", Short: "Print the site as JSON", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var site json.RawMessage
			show, err := c.call(cmd.Context(), http.MethodGet, "/site", nil, &site)
			if show {
				return printJSON(site)
			}
			return err
		},
	}
	var override string
	mode := &cobra.Command{
		Use: "mode shadow|pilot|live", Short: "Change the site's mode; live needs two persons, and a passed pinward commission", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			quiet := *c
			quiet.json = false
			site := map[string]any{}
			if _, err := quiet.call(cmd.Context(), http.MethodGet, "/site", nil, &site); err != nil {
				return err
			}
			site["mode"] = args[0]
			var now struct{ Mode string }
			show, err := c.call(cmd.Context(), http.MethodPut, "/site?override="+url.QueryEscape(override), site, &now)
			if show && err == nil {
				printMode(now.Mode, args[0])
			}
			return err
		},
	}
	mode.Flags().StringVar(&override, "override", "", "go live without pinward commission, for this `REASON`, which both persons give in the same words")
	cmd.AddCommand(show, mode)
	return cmd
}

func (c *client) outbox() *cobra.Command {
	cmd := &cobra.Command{
		Use: "outbox", Short: "Show what waits, and stop or start a lane", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var v struct {
				Lanes []struct {
					Lane   string
					Due    int
					OnAir  int `json:"on_air"`
					Paused bool
				}
				Senders []struct {
					Name, Carrier, Cause string
					Ready                bool
				}
			}
			show, err := c.call(cmd.Context(), http.MethodGet, "/outbox", nil, &v)
			if show {
				for _, l := range v.Lanes {
					paused := ""
					if l.Paused {
						paused = ", paused"
					}
					fmt.Printf("%-8s %d waiting, %d on air%s\n", l.Lane, l.Due, l.OnAir, paused)
				}
				for _, s := range v.Senders {
					how := "takes messages"
					if !s.Ready {
						how = s.Cause
					}
					fmt.Printf("%-8s %s (%s)\n", s.Name, how, s.Carrier)
				}
			}
			return err
		},
	}
	for _, verb := range []string{"pause", "resume"} {
		cmd.AddCommand(&cobra.Command{
			Use: verb + " LANE", Short: verb + " the lane otp, notice or bulk", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				_, err := c.call(cmd.Context(), http.MethodPost, "/outbox/"+verb, map[string]string{"lane": args[0]}, nil)
				return err
			},
		})
	}
	return cmd
}
