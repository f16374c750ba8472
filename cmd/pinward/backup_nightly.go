package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// backupState is how the daemon says that its backups stand.
type backupState struct {
	Folder, File, Failed, Unproven string
	Made, Rehearsed, Proven        time.Time
	Bytes                          int64
}

// String is the line of `pinward status`.
func (b *backupState) String() string {
	var words []string
	say := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if b.Made.IsZero() {
		say("none yet")
	} else {
		say("%s", b.Made.Local().Format(time.DateTime))
	}
	if b.Folder == "" {
		say("none is made by itself ([backup] in pinward.toml)")
	}
	if b.Failed != "" {
		say("THE LAST ONE FAILED: %s", b.Failed)
	}
	switch {
	case b.Unproven != "":
		say("RESTORED FOR A CHECK, AND NO GOOD: %s", b.Unproven)
	case !b.Proven.IsZero():
		say("one was restored for a check on %s", b.Proven.Local().Format(time.DateOnly))
	}
	return strings.Join(words, "; ")
}

func (c *client) backupRun() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "Have the box make its nightly backup now, in the folder of pinward.toml", Args: cobra.NoArgs,
		Long: "Run is what pinward-backup.timer starts each night. The daemon writes the backup into the folder of [backup]\n" +
			"in pinward.toml, removes those that need not be kept any more, and once a month restores the new one into a\n" +
			"throwaway store for a check. It needs no login: it gives nothing but a file that the recovery kit alone opens.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var made struct {
				File  string
				Bytes int64
			}
			show, err := c.call(cmd.Context(), http.MethodPost, "/backup/run", struct{}{}, &made)
			if show {
				fmt.Printf("%s written, %d bytes\n", made.File, made.Bytes)
			}
			return err
		},
	}
}

func (c *client) backupRehearse() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "rehearse", Short: "Restore a nightly backup into a throwaway store, and look whether a box could go on with it", Args: cobra.NoArgs,
		Long: "Rehearse restores the newest nightly backup, or the one that --file names, beside the store that works, opens it,\n" +
			"reads it, and removes it. Nothing of the box changes. The box does so by itself once a month. It takes the root\n" +
			"key from the TPM; that the holders' shares open the box too is shown by pinward key drill.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var done struct{ File string }
			show, err := c.call(cmd.Context(), http.MethodPost, "/backup/rehearse", map[string]string{"file": file}, &done)
			if show {
				fmt.Printf("%s was restored, opened and read: a box could go on with it.\n", done.File)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "the `NAME` of a backup in the folder")
	return cmd
}
