package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// account is a person's, as the daemon shows it.
type account struct {
	Name     string    `json:"name"`
	Roles    []string  `json:"roles"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"`
	// Directory and Gone must come back with a review as they were shown.
	Directory bool   `json:"directory,omitempty"`
	Gone      string `json:"gone,omitempty"`
}

func (a account) String() string {
	state := "may log in"
	if a.Disabled {
		state = "disabled"
	}
	password := "password of " + a.Changed.Local().Format(time.DateOnly)
	if a.Directory {
		password = "by the directory"
	}
	if a.Gone != "" {
		state, password = "gone", password+": "+a.Gone
	}
	return fmt.Sprintf("%-20s %-10s  %-24s since %s, %s", a.Name, state, strings.Join(a.Roles, ","), a.Created.Local().Format(time.DateOnly), password)
}

func userPath(name string) string { return "/users/" + url.PathEscape(name) }

func (c *client) user() *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "Let people in, and out again"}
	var roles []string
	add := &cobra.Command{
		Use: "add NAME", Short: "Make a person known; asks for the password", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := prompt(bufio.NewReader(os.Stdin), "password for "+args[0], true)
			if err != nil {
				return err
			}
			req := map[string]any{"name": args[0], "password": password, "roles": roles}
			show, err := c.call(cmd.Context(), http.MethodPost, "/users", req, nil)
			if show {
				fmt.Println(args[0], "may log in")
			}
			return err
		},
	}
	add.Flags().StringSliceVar(&roles, "role", []string{"nurse"}, "nurse, portal, engine, operator, auditor or admin")
	cmd.AddCommand(add, c.userList(), c.userReview(), c.userPassword(),
		&cobra.Command{
			Use: "roles NAME ROLE...", Short: "Change what a person may do; it holds at once", Args: cobra.MinimumNArgs(2),
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.changeUser(cmd, args[0], map[string]any{"roles": args[1:]})
			},
		},
		&cobra.Command{
			Use: "disable NAME", Short: "Let a person in no more; open sessions end at once", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.changeUser(cmd, args[0], map[string]any{"disabled": true})
			},
		},
		&cobra.Command{
			Use: "enable NAME", Short: "Let a person in again", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.changeUser(cmd, args[0], map[string]any{"disabled": false})
			},
		},
	)
	return cmd
}

func (c *client) changeUser(cmd *cobra.Command, name string, change map[string]any) error {
	var now account
	show, err := c.call(cmd.Context(), http.MethodPut, userPath(name), change, &now)
	if show && err == nil {
		fmt.Println(now)
	}
	return err
}

func (c *client) userList() *cobra.Command {
	return listCommand[account](c, "list", "List who may do what", "/users")
}

// userReview is the look through the accounts that 45 CFR 164.308(a)(4)(ii)(C) asks for. It is recorded when the person says that
// what was shown is right, and not before.
func (c *client) userReview() *cobra.Command {
	return &cobra.Command{
		Use: "review", Short: "Look through who may do what, and have it on record that you did", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []account
			if _, err := c.call(cmd.Context(), http.MethodGet, "/users", nil, &all); err != nil {
				return err
			}
			for _, a := range all {
				fmt.Fprintln(os.Stderr, a)
			}
			word, err := prompt(bufio.NewReader(os.Stdin), "type right if each is as it should be", false)
			if err != nil {
				return err
			}
			if word != "right" {
				return errors.New("nothing is recorded: change what is not right (pinward user roles, disable), then review again")
			}
			show, err := c.call(cmd.Context(), http.MethodPost, "/users/review", all, nil)
			if show && err == nil {
				fmt.Printf("Recorded: %d accounts reviewed.\n", len(all))
			}
			return err
		},
	}
}

func (c *client) userPassword() *cobra.Command {
	return &cobra.Command{
		Use: "password NAME", Short: "Give a person another password; older sessions end", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := prompt(bufio.NewReader(os.Stdin), "new password for "+args[0], true)
			if err != nil {
				return err
			}
			show, err := c.call(cmd.Context(), http.MethodPut, userPath(args[0])+"/password", map[string]string{"password": password}, nil)
			if show && err == nil {
				fmt.Println("The password is changed.")
			}
			return err
		},
	}
}
