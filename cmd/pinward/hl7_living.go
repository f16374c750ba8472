package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// hl7Living takes back that a patient died.
func (c *client) hl7Living() *cobra.Command {
	var yes bool
	var req struct {
		Listener  string `json:"listener"`
		Authority string `json:"authority"`
		MRN       string `json:"mrn"`
	}
	cmd := &cobra.Command{
		Use: "living MRN", Short: "Take back that a patient died, where a message said so by mistake", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				if err := confirm("Text this patient again"); err != nil {
					return err
				}
			}
			req.MRN = args[0]
			var done struct{ Did []string }
			show, err := c.call(cmd.Context(), http.MethodPost, "/hl7/living", req, &done)
			if show && err == nil {
				for _, what := range done.Did {
					fmt.Println(what)
				}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&req.Authority, "authority", "", "who gave the number (PID-3.4); empty is the site's own")
	cmd.Flags().StringVar(&req.Listener, "listener", "", "the listener whose mode holds for the reminders that come back, where there are several")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
