package daemon

import (
	"embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"rsc.io/qr"

	"pinward/daemon/admin"
)

//go:embed pages
var pageFiles embed.FS

// pages are those that the box shows while it has no house: closed, set-up, unseal, the kit to print.
var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// sheet is one printed page of the recovery kit: one share for one person.
type sheet struct {
	Number  int
	Holder  string
	Head    string   // what stands before the groups
	Groups  []string // of four characters, as they are typed in
	QR      template.HTML
	Box     string
	Signer  string
	Date    string
	Warning string
}

// kitPage makes the pages to print, one for each holder.
func kitPage(k admin.Kit) (string, error) {
	var sheets []sheet
	for i, share := range k.Shares {
		code, err := qrSVG(share)
		if err != nil {
			return "", err
		}
		words := strings.Fields(share)
		sheets = append(sheets, sheet{
			Number: i + 1, Holder: k.Holders[i], Head: strings.Join(words[:3], " "), Groups: words[3:], QR: code,
			Box: k.Box, Signer: k.Signer, Date: time.Now().Format("2 January 2006"), Warning: k.Warning,
		})
	}
	var page strings.Builder
	if err := pages.ExecuteTemplate(&page, "kit.html", sheets); err != nil {
		return "", fmt.Errorf("make page of the kit: %w", err)
	}
	return page.String(), nil
}

// notProtected is what a person who signs for the box must have read.
func notProtected(mode string) string {
	if mode == "tpm" {
		return "This box opens by itself when it is switched on. A stolen disk tells nothing; a stolen box does, " +
			"as long as it boots as before: lock it away."
	}
	return "This box needs a person with the passphrase to open. While it runs, its keys are in its memory: lock it away."
}

// qrSVG draws a share as a QR code (ISO/IEC 18004, level M), for a scanner that types what it reads.
func qrSVG(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	const quiet = 4 // modules of white around it, as the standard asks
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %[1]d" role="img" aria-label="QR code of the share"><path d="`, code.Size+2*quiet)
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
