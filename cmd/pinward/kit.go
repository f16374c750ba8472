package main

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rsc.io/qr"
)

// kit is the recovery kit as set-up hands it out, once.
type kit struct {
	Box     string   `json:"box"`
	Signer  string   `json:"signer"`
	Mode    string   `json:"mode"`
	Holders []string `json:"holders"`
	Shares  []string `json:"shares"`
}

// notProtected is what a person who signs for the box must have read.
func (k kit) notProtected() string {
	if k.Mode == "tpm" {
		return "This box opens by itself when it is switched on. A stolen disk tells nothing; a stolen box does, as long as it boots as before: lock it away."
	}
	return "This box needs a person with the passphrase to open. While it runs, its keys are in its memory: lock it away."
}

// print shows the kit on the terminal.
func (k kit) print(w io.Writer) {
	fmt.Fprintf(w, "The box %s is open.\n\nSigner of its audit (write it on your sheet, compare it when you verify):\n  %s\n\n", k.Box, k.Signer)
	fmt.Fprintln(w, "Recovery kit, shown once. Any two shares open the box without its TPM:")
	for i, share := range k.Shares {
		fmt.Fprintf(w, "\nShare %d, held by %s\n%s\n", i+1, k.holder(i), share)
	}
	fmt.Fprintln(w, "\n"+k.notProtected())
}

func (k kit) holder(i int) string {
	if i < len(k.Holders) {
		return k.Holders[i]
	}
	return "______________________"
}

//go:embed kit.html
var kitPage string

// sheet is one printed page: one share for one person.
type sheet struct {
	Number  int
	Holder  string
	Groups  []string // of four characters, as they are typed in
	Head    string   // what stands before the groups
	QR      template.HTML
	Box     string
	Signer  string
	Date    string
	Warning string
}

// write makes the folder of the kit: a file for each share, and the pages to print. The files are for
// their owner alone; they do not belong on the box that they open.
func (k kit) write(dir string) error {
	var sheets []sheet
	for i, share := range k.Shares {
		if err := writePrivate(shareFile(dir, i+1), share+"\n"); err != nil {
			return err
		}
		code, err := qrSVG(share)
		if err != nil {
			return err
		}
		words := strings.Fields(share)
		sheets = append(sheets, sheet{
			Number: i + 1, Holder: k.holder(i), Head: strings.Join(words[:3], " "), Groups: words[3:], QR: code,
			Box: k.Box, Signer: k.Signer, Date: time.Now().Format("2 January 2006"), Warning: k.notProtected(),
		})
	}
	t, err := template.New("kit").Parse(kitPage)
	if err != nil {
		return fmt.Errorf("parse page of the kit: %w", err)
	}
	var page strings.Builder
	if err := t.Execute(&page, sheets); err != nil {
		return fmt.Errorf("make page of the kit: %w", err)
	}
	return writePrivate(filepath.Join(dir, "kit.html"), page.String())
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

// qrSVG draws the share as a QR code (ISO/IEC 18004, level M), for a scanner that types what it reads.
func qrSVG(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	const quiet = 4 // modules of white around it, as the standard asks
	var b strings.Builder
	side := code.Size + 2*quiet
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %[1]d" role="img" aria-label="QR code of the share"><path d="`, side)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()), nil
}
