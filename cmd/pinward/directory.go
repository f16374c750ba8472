package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// directoryAnswer is what the hospital's directory says of a name.
type directoryAnswer struct {
	Name     string   `json:"name"`
	Local    bool     `json:"local"`
	Found    bool     `json:"found"`
	Why      string   `json:"why"`
	DN       string   `json:"dn"`
	FullName string   `json:"full_name"`
	Barred   string   `json:"barred"`
	Groups   []string `json:"groups"`
	Roles    []string `json:"roles"`
	Password string   `json:"password"`
}

// mayLogIn tells whether a login would succeed, and why not.
func (a directoryAnswer) mayLogIn() (why string, may bool) {
	switch {
	case a.Local:
		return "The name is a local account: the directory is never asked for it at a login.", false
	case !a.Found:
		return "Nobody could log in by this name: " + a.Why + ".", false
	case a.Barred != "":
		return "They could not log in: " + a.Barred + ".", false
	case len(a.Roles) == 0:
		return "They could not log in: they are in none of the groups of [directory.roles].", false
	case a.Password != "" && a.Password != "right":
		return "They could not log in: " + a.Password + ".", false
	}
	return "They could log in.", true
}

func (c *client) directory() *cobra.Command {
	cmd := &cobra.Command{Use: "directory", Short: "Ask the hospital's directory, by which people log in"}
	var password bool
	test := &cobra.Command{
		Use: "test NAME", Short: "Tell what a person of the directory could do here, and why", Args: cobra.ExactArgs(1),
		Long: "Test looks a name up in the hospital's directory and tells in which groups of [directory.roles] the person is, and\n" +
			"which roles these give. With --password it asks for their password and has the directory check it: a wrong one\n" +
			"counts there, and here, as one at the login page does. Nobody is logged in. The look is recorded.\n" +
			"It exits 0 when the person could log in, 1 when not.",
		RunE: func(cmd *cobra.Command, args []string) error {
			req := map[string]string{"name": args[0]}
			if password {
				typed, err := prompt(bufio.NewReader(os.Stdin), "password of "+args[0], true)
				if err != nil {
					return err
				}
				req["password"] = typed
			}
			var a directoryAnswer
			show, err := c.call(cmd.Context(), http.MethodPost, "/directory/test", req, &a)
			if err != nil || !show {
				return err
			}
			if a.Found {
				fmt.Printf("name      %s\nentry     %s\nroles     %s\n", a.FullName, a.DN, strings.Join(a.Roles, ", "))
				for _, g := range a.Groups {
					fmt.Println("by group ", g)
				}
			}
			if a.Password != "" {
				fmt.Println("password ", a.Password)
			}
			why, may := a.mayLogIn()
			fmt.Println(why)
			if !may {
				return exit(1)
			}
			return nil
		},
	}
	test.Flags().BoolVar(&password, "password", false, "ask for the person's password, and have the directory check it")
	cmd.AddCommand(test)
	return cmd
}
