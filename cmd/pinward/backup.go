package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// backupReport is what the daemon says of a backup.
type backupReport struct {
	Origin, Signer   string
	Made             time.Time
	Entries          uint64
	Bytes            int64
	Segments         int
	Skipped, Missing []string
}

func (b backupReport) print() {
	fmt.Printf("backup of %s, made %s: %d audit entries, %d frozen months, %d bytes\nsigner    %s\n",
		b.Origin, b.Made.Local().Format(time.DateTime), b.Entries, b.Segments, b.Bytes, b.Signer)
	for _, s := range b.Skipped {
		fmt.Println("elsewhere", s+": in an earlier backup")
	}
	for _, s := range b.Missing {
		fmt.Println("MISSING  ", s+": was damaged when the backup was made")
	}
}

func (c *client) backup() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Write an encrypted backup of the box, while everything goes on", Args: cobra.ExactArgs(1),
		Long: "The box makes one each night by itself where [backup] in pinward.toml names a folder (backup run).\n" +
			"Backup FILE writes one consistent state of the store, with the sealed keys, to a new file. Two shares of\n" +
			"the recovery kit, and nothing else, open it on another machine. Keep it off this box. It is whole\n" +
			"only if this command ends with 0; pinward backup verify FILE then reads all of it.",
		RunE: func(cmd *cobra.Command, args []string) error { return c.writeBackup(cmd.Context(), args[0]) },
	}
	verify := &cobra.Command{
		Use: "verify FILE", Short: "Read a backup of this box whole: everything in it must open and fit", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("open backup: %w", err)
			}
			defer f.Close()
			var report backupReport
			stream, finish := watched(f, "reading", sizeOf(f))
			show, err := c.upload(cmd.Context(), "/backup/verify", "application/octet-stream", stream, &report)
			finish()
			if show {
				report.print()
				fmt.Println("The backup is whole: everything in it opens and fits.")
			}
			return err
		},
	}
	cmd.AddCommand(verify, c.backupRun(), c.backupRehearse())
	return cmd
}

// writeBackup writes beside the file first and syncs: a file of that name is a whole backup.
func (c *client) writeBackup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists already", path)
	}
	resp, err := c.do(ctx, http.MethodGet, "/backup", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.CreateTemp(filepath.Dir(path), ".pinward-backup-")
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	defer os.Remove(f.Name())
	stream, finish := watched(resp.Body, "writing", 0) // how long it becomes only its end tells
	n, err := io.Copy(f, stream)
	finish()
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("the backup was cut off after %d bytes, and is no good: %w", n, err)
	}
	if err := os.Link(f.Name(), path); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	if !c.json {
		fmt.Printf("%s written, %d bytes; have it read whole: pinward backup verify %[1]s\n", path, n)
		return nil
	}
	return printJSON(map[string]any{"file": path, "bytes": n})
}

func (c *client) restore() *cobra.Command {
	var withPassphrase bool
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Make an empty box the one that a backup was made of", Args: cobra.ExactArgs(1),
		Long: "Restore needs an empty box with the same box.id, and two shares of the recovery kit. The keys are\n" +
			"sealed to this machine's TPM, which signs the audit from here on: write its fingerprint on the sheet.\n" +
			"A restored box holds all texts and ignores events that are older than the restore, until somebody\n" +
			"has looked and runs: pinward restore lift. Never run the old box and the restored one side by side.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.restoreFrom(cmd.Context(), args[0], withPassphrase)
		},
	}
	cmd.Flags().BoolVar(&withPassphrase, "passphrase", false, "ask for the unsealing passphrase of this box")
	cmd.AddCommand(&cobra.Command{
		Use: "lift", Short: "Let a restored box go on: what was held is sent if it is not too late", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show, err := c.call(cmd.Context(), http.MethodPost, "/restore/lift", struct{}{}, nil)
			if show {
				fmt.Println("Lifted. The lanes stay held until: pinward outbox resume LANE")
			}
			return err
		},
	})
	return cmd
}

func (c *client) restoreFrom(ctx context.Context, path string, withPassphrase bool) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open backup: %w", err)
	}
	defer f.Close()
	in := bufio.NewReader(os.Stdin)
	keys := map[string]any{}
	if keys["shares"], err = askShares(in); err != nil {
		return err
	}
	if withPassphrase {
		if keys["passphrase"], err = prompt(in, "unsealing passphrase", true); err != nil {
			return err
		}
	}
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	written := make(chan struct{})
	stream, finish := watched(f, "restoring", sizeOf(f))
	go func() {
		defer close(written)
		w.CloseWithError(writeForm(form, keys, stream))
	}()
	var report backupReport
	show, err := c.upload(ctx, "/restore", form.FormDataContentType(), r, &report)
	r.Close() // a daemon that refused reads no further
	<-written
	finish()
	if show {
		report.print()
		fmt.Println("Restored. All texts are held: see pinward status, then run pinward restore lift.")
	}
	return err
}

func writeForm(form *multipart.Writer, keys any, backup io.Reader) error {
	part, err := form.CreateFormField("keys")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(part).Encode(keys); err != nil {
		return err
	}
	if part, err = form.CreateFormFile("backup", "backup"); err != nil {
		return err
	}
	if _, err := io.Copy(part, backup); err != nil {
		return err
	}
	return form.Close()
}
