package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// repository is how far the events of the audit have come to the hospital's audit repository.
type repository struct {
	Relay, Format, Trouble string
	Next, Backlog          uint64
	Oldest                 time.Time
}

// String is one line: who it is, what it has, what waits.
func (r *repository) String() string {
	line := fmt.Sprintf("%s (%s) has the entries below %d, %d wait", r.Relay, r.Format, r.Next, r.Backlog)
	if r.Backlog > 0 {
		line += " since " + r.Oldest.Local().Format(time.DateTime)
	}
	if r.Trouble != "" {
		line += ": " + r.Trouble
	}
	return line
}

func (c *client) auditRepository() *cobra.Command {
	again := int64(-1)
	cmd := &cobra.Command{
		Use: "repository", Short: "Show how far the hospital's audit repository ([atna]) is; --again sends it what it lost", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			method, body := http.MethodGet, any(nil)
			if cmd.Flags().Changed("again") {
				method, body = http.MethodPost, map[string]int64{"from": again}
			}
			var r repository
			show, err := c.call(cmd.Context(), method, "/audit/repository", body, &r)
			if show {
				fmt.Println(&r)
			}
			return err
		},
	}
	cmd.Flags().Int64Var(&again, "again", again, "send all entries from this `SEQ` on once more")
	return cmd
}
