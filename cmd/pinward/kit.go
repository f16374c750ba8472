package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// kit is the recovery kit as set-up hands it out, once.
type kit struct {
	Box     string   `json:"box"`
	Signer  string   `json:"signer"`
	Warning string   `json:"warning"`
	Holders []string `json:"holders"`
	Shares  []string `json:"shares"`
	Page    string   `json:"page"` // HTML to print
}

// print shows the kit on the terminal.
func (k kit) print(w io.Writer) {
	fmt.Fprintf(w, "The box %s is open.\n\nSigner of its audit (write it on your sheet, compare it when you verify):\n  %s\n\n", k.Box, k.Signer)
	k.printShares(w)
}

// printShares shows the shares alone.
func (k kit) printShares(w io.Writer) {
	fmt.Fprintln(w, "Recovery kit, shown once. Any two shares open the box without its TPM:")
	for i, share := range k.Shares {
		fmt.Fprintf(w, "\nShare %d, held by %s\n%s\n", i+1, k.Holders[i], share)
	}
	fmt.Fprintln(w, "\n"+k.Warning)
}

// write makes the folder of the kit: a file for each share, and the pages to print. The files are for
// their owner alone; they do not belong on the box that they open.
func (k kit) write(dir string) error {
	for i, share := range k.Shares {
		if err := writePrivate(shareFile(dir, i+1), share+"\n"); err != nil {
			return err
		}
	}
	return writePrivate(filepath.Join(dir, "kit.html"), k.Page)
}

func shareFile(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("share-%d.txt", n)) }

// writePrivate never writes over a file: an older kit there may be the only one of another box.
func writePrivate(path, content string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already: name another folder with --kit", path)
	}
	if err != nil {
		return fmt.Errorf("write kit: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(content); err != nil {
		return fmt.Errorf("write kit: %w", err)
	}
	return f.Sync()
}

// readShares reads shares back from their files.
func readShares(dir string, numbers ...int) (shares []string, err error) {
	for _, n := range numbers {
		b, err := os.ReadFile(shareFile(dir, n))
		if err != nil {
			return nil, fmt.Errorf("read share back: %w", err)
		}
		shares = append(shares, strings.TrimSpace(string(b)))
	}
	return shares, nil
}
