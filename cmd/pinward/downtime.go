package main

import (
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"
)

func (c *client) downtime() *cobra.Command {
	cmd := &cobra.Command{Use: "downtime", Short: "What desks need when no code can be sent"}
	cmd.AddCommand(&cobra.Command{
		Use: "page FILE", Short: "Write the downtime page and form of this site, for the intranet", Args: cobra.ExactArgs(1),
		Long: "It is the form that a closed box shows, with the site's name and whom to call (alarms.help of pinward config),\n" +
			"as one file without scripts that prints. Put it where it can be read while the box, or the network, is down, and\n" +
			"write it again when either changes. Without a daemon, the package has one of no site in /usr/share/doc/pinward.",
		RunE: func(cmd *cobra.Command, args []string) error {
			resp, err := c.do(cmd.Context(), http.MethodGet, "/downtime", nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			page, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
			if err != nil {
				return fmt.Errorf("read page: %w", err)
			}
			if err := os.WriteFile(args[0], page, 0o644); err != nil {
				return fmt.Errorf("write page: %w", err)
			}
			fmt.Println("written:", args[0])
			return nil
		},
	})
	return cmd
}
