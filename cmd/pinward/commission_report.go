package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// write writes a signed report, in the form that the file's name asks for. It is written whole or not at all.
func (s signedReport) write(path string) error {
	var r acceptanceReport
	if err := json.Unmarshal(s.Report, &r); err != nil {
		return fmt.Errorf("decode report: %w", err)
	}
	var out bytes.Buffer
	var err error
	switch filepath.Ext(path) {
	case ".json":
		err = json.NewEncoder(&out).Encode(s)
	case ".md":
		r.markdown(&out)
		fmt.Fprintf(&out, "\nSHA-256 of the report: `%s`, in the entry `acceptance.finished`. Head signed after it:\n\n```\n%s```\n\n", s.SHA256, s.Head)
		fmt.Fprint(&out, "Accepted by (name, date, signature): ______________________________\n")
	case ".html":
		err = reportPage.Execute(&out, struct {
			acceptanceReport
			SHA256, Head string
		}{r, s.SHA256, s.Head})
	default:
		err = errors.New("the report is .html, .md or .json")
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	part := path + ".part"
	if err := os.WriteFile(part, out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return os.Rename(part, path)
}

// verdict is a state in words that stand on paper.
func (s acceptanceStep) verdict() string {
	words := map[string]string{"": "not done", "waiting": "not done", "passed": "passed", "failed": "FAILED", "waived": "waived", "none": "not possible"}[s.State]
	if s.Seconds > 0 {
		words += fmt.Sprintf(" (%.1f s)", s.Seconds)
	}
	if s.Cause != "" {
		words += ": " + s.Cause
	}
	if s.By != "" {
		words += ", by " + s.By
	}
	return words
}

// Verdict and When are for the page.
func (s acceptanceStep) Verdict() string { return s.verdict() }

// When is the time of a step, "" if there is none.
func (s acceptanceStep) When() string {
	if s.At.IsZero() {
		return ""
	}
	return s.At.Local().Format(time.DateTime)
}

func passedWords(ok bool) string {
	if ok {
		return "passed"
	}
	return "NOT PASSED"
}

// cell keeps words from ending a cell of a table.
var cell = strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;")

func (r acceptanceReport) markdown(w io.Writer) {
	fmt.Fprintf(w, "# Site acceptance of %s: %s\n\n", r.Box, passedWords(r.Passed))
	fmt.Fprintf(w, "%s, pinward %s, %s by %s. Signer of the audit: `%s`\n", cell.Replace(r.Site), r.Version, r.Made.Local().Format(time.DateTime), cell.Replace(r.By), r.Signer)
	for _, sim := range r.SIMs {
		fmt.Fprintf(w, "\n## %s: %s\n\n%s, %s, SIM %s\n", sim.Modem, passedWords(sim.Passed), cell.Replace(sim.Model), cell.Replace(sim.Operator), sim.SIM)
		for _, l := range sim.Lines {
			fmt.Fprintf(w, "\n| %s | %s | |\n| --- | --- | --- |\n", l.Carrier, passedWords(l.Passed))
			for _, s := range l.Steps {
				fmt.Fprintf(w, "| %s | %s | %s |\n", s.Step, cell.Replace(s.verdict()), s.When())
			}
		}
	}
}

var reportPage = template.Must(template.New("report").Funcs(template.FuncMap{"passed": passedWords}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Site acceptance of {{.Box}}</title><style>
body{font:11pt sans-serif;max-width:60em;margin:2em auto;padding:0 1em}table{border-collapse:collapse;width:100%;margin:.5em 0 1.5em}
th,td{border:1px solid #666;padding:.25em .5em;text-align:left;vertical-align:top}pre{white-space:pre-wrap;overflow-wrap:anywhere}
section{break-inside:avoid}.sign{margin-top:3em}@media print{body{margin:0}}</style></head><body>
<h1>Site acceptance of {{.Box}}: {{passed .Passed}}</h1>
<p>{{.Site}}, pinward {{.Version}}, {{.Made.Local.Format "2006-01-02 15:04:05"}} by {{.By}}<br>Signer of the audit: <code>{{.Signer}}</code></p>
{{range .SIMs}}<h2>{{.Modem}}: {{passed .Passed}}</h2><p>{{.Model}}, {{.Operator}}, SIM {{.SIM}}</p>
{{range .Lines}}<section><h3>{{.Carrier}}: {{passed .Passed}}</h3><table><tr><th>Step<th>Result<th>When</tr>
{{range .Steps}}<tr><td>{{.Step}}<td>{{.Verdict}}<td>{{.When}}</tr>
{{end}}</table></section>{{end}}{{end}}
<p>SHA-256 of the report, in the audit's entry acceptance.finished: <code>{{.SHA256}}</code>. The head signed after it:</p><pre>{{.Head}}</pre>
<p class="sign">Accepted by (name, date, signature): ______________________________</p>
</body></html>
`))
