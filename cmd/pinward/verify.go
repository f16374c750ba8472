package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// verification is what the native API says of one.
type verification struct {
	ID         string    `json:"id"`
	Service    string    `json:"service"`
	To         string    `json:"to"`
	Channel    string    `json:"channel"`
	Status     string    `json:"status"`
	ExpiresAt  time.Time `json:"expires_at"`
	Valid      bool      `json:"valid"`
	ChecksLeft int       `json:"checks_left"`
}

func (c *client) verify() *cobra.Command {
	cmd := &cobra.Command{Use: "verify", Short: "Send a code to a number and check it"}
	cmd.AddCommand(c.verifyStart(), c.verifyCheck(), c.verifyCancel(), c.verifyShow())
	return cmd
}

func (c *client) verifyStart() *cobra.Command {
	var req struct {
		Service    string `json:"service"`
		To         string `json:"to"`
		Channel    string `json:"channel,omitempty"`
		Locale     string `json:"locale,omitempty"`
		Reference  string `json:"reference,omitempty"`
		OnBehalfOf string `json:"on_behalf_of,omitempty"`
	}
	cmd := &cobra.Command{
		Use: "start NUMBER", Short: "Send a code", Args: cobra.ExactArgs(1),
		Example: "  pinward verify start +16175550199 --service portal-login",
		RunE: func(cmd *cobra.Command, args []string) error {
			req.To = args[0]
			var v verification
			show, err := c.call(cmd.Context(), http.MethodPost, "/v1/verifications", req, &v)
			if show {
				fmt.Printf("%s  %s  the code is valid until %s\n", v.ID, v.Status, v.ExpiresAt.Local().Format("15:04:05"))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&req.Service, "service", "portal-login", "verification service, by name or VA id")
	cmd.Flags().StringVar(&req.Channel, "channel", "", "sms, call or auto (default: the service's route)")
	cmd.Flags().StringVar(&req.Locale, "locale", "", "language of the text, such as es")
	cmd.Flags().StringVar(&req.Reference, "reference", "", "what the verification is bound to; the check must name the same")
	cmd.Flags().StringVar(&req.OnBehalfOf, "on-behalf-of", "", "the person for whom you ask")
	return cmd
}

func (c *client) verifyCheck() *cobra.Command {
	var reference string
	cmd := &cobra.Command{
		Use: "check ID CODE", Short: "Check a code; exits 1 when it is wrong", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := map[string]string{"code": args[1]}
			if reference != "" {
				req["reference"] = reference
			}
			var v verification
			show, err := c.call(cmd.Context(), http.MethodPost, "/v1/verifications/"+url.PathEscape(args[0])+"/check", req, &v)
			if err != nil {
				return err
			}
			if show && v.Valid {
				fmt.Println("approved")
			} else if show {
				fmt.Printf("wrong code; still %s, %d checks left\n", v.Status, v.ChecksLeft)
			}
			if !v.Valid {
				return exit(1)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&reference, "reference", "", "what the verification is bound to")
	return cmd
}

func (c *client) verifyCancel() *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "End a verification; nothing more is sent for it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var v verification
			show, err := c.call(cmd.Context(), http.MethodPost, "/v1/verifications/"+url.PathEscape(args[0])+"/cancel", struct{}{}, &v)
			if show {
				fmt.Println(v.Status)
			}
			return err
		},
	}
}

func (c *client) verifyShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show how a verification stands", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var v verification
			show, err := c.call(cmd.Context(), http.MethodGet, "/v1/verifications/"+url.PathEscape(args[0]), nil, &v)
			if show {
				fmt.Printf("%s  %s  %s by %s, %d checks left, until %s\n", v.ID, v.Status, v.Service, v.Channel, v.ChecksLeft, v.ExpiresAt.Local().Format("15:04:05"))
			}
			return err
		},
	}
}

// send puts a text without a code into the outbox: a registered template and its slots, never a
// free text.
func (c *client) send() *cobra.Command {
	var req struct {
		Template string            `json:"template"`
		To       string            `json:"to"`
		Locale   string            `json:"locale,omitempty"`
		Slots    map[string]string `json:"slots,omitempty"`
		SendAt   string            `json:"send_at,omitempty"`
	}
	cmd := &cobra.Command{
		Use: "send NUMBER", Short: "Send a text from a template", Args: cobra.ExactArgs(1),
		Example: "  pinward send +16175550199 --template result.ready",
		RunE: func(cmd *cobra.Command, args []string) error {
			if req.Template == "" {
				return errors.New("--template names the text to send; pinward sends no free text")
			}
			req.To = args[0]
			var n struct{ ID, Status string }
			show, err := c.call(cmd.Context(), http.MethodPost, "/v1/notices", req, &n)
			if show {
				fmt.Printf("%s  %s\n", n.ID, n.Status)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&req.Template, "template", "", "name of the template")
	cmd.Flags().StringVar(&req.Locale, "locale", "", "language, such as es")
	cmd.Flags().StringToStringVar(&req.Slots, "slot", nil, "value of a slot, as name=value")
	cmd.Flags().StringVar(&req.SendAt, "at", "", "when to send, as in RFC 3339")
	return cmd
}
