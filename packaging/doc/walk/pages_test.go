package walk

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pinward/modem"
)

// installed makes this test binary a program of the install test: it walks the blocks ```console install of a page, or of a
// section of it ("PAGE:SECTION"), on the machine it is on, and of -pages DIR.
var (
	installed = flag.String("installed", "", "walk the installation blocks of PAGE or PAGE:SECTION here")
	pages     = flag.String("pages", "..", "folder of the pages")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *installed != "" {
		if err := walkInstalled(*installed); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func walkInstalled(what string) error {
	page, section, _ := strings.Cut(what, ":")
	text, err := os.ReadFile(filepath.Join(*pages, page))
	if err != nil {
		return err
	}
	blocks, err := Parse(page, string(text))
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	s, err := Open(dir, os.Environ(), "", "")
	if err != nil {
		return err
	}
	defer s.Close()
	n := 0
	for _, b := range blocks {
		if b.Mark == Install && b.File == "" && (section == "" || b.Section == section) {
			if err := s.Walk(b); err != nil {
				return err
			}
			n++
		}
	}
	if n == 0 {
		return fmt.Errorf("%s: nothing to walk", what)
	}
	return nil
}

// every is each page by its name.
func every(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	names, err := filepath.Glob(filepath.Join("..", "*.md"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(name)] = string(b)
	}
	return out
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// walkers are the scripts that walk the blocks of a mark, below the root.
var walkers = map[Mark]string{Demo: "cmd/demo/testdata/pages/*.txtar", Box: "cmd/pinwardd/testdata/pages/*.txtar", Install: "packaging/install/*.sh"}

// TestNoBlockThatNobodyRuns: each page with blocks of a mark stands in a script that walks it to its end.
func TestNoBlockThatNobodyRuns(t *testing.T) {
	for page, text := range every(t) {
		blocks, err := Parse(page, text)
		if err != nil {
			t.Error(err)
		}
		for mark, scripts := range walkers {
			if !slices.ContainsFunc(blocks, func(b Block) bool { return b.Mark == mark && b.File == "" }) {
				continue
			}
			names, err := filepath.Glob(filepath.Join("..", "..", "..", scripts))
			if err != nil {
				t.Fatal(err)
			}
			walked := regexp.MustCompile(`(?m)^walked .*\b` + regexp.QuoteMeta(page) + `\b`)
			if mark == Install {
				walked = regexp.MustCompile(`(?m)^ *page .*\b` + regexp.QuoteMeta(page) + `\b`)
			}
			if !slices.ContainsFunc(names, func(name string) bool {
				b, err := os.ReadFile(name)
				return err == nil && walked.Match(b)
			}) {
				t.Errorf("%s has blocks of the mark %q that no script walks: %s", page, mark, scripts)
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)]+)\)`)

// TestLinks: what a page links to is there, and each page is in the index and in the package.
func TestLinks(t *testing.T) {
	all := every(t)
	for page, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if u.Scheme == "https" || u.Path == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", u.Path)); u.Scheme != "" || err != nil || strings.Contains(u.Path, "/") {
				t.Errorf("%s: nothing stands behind %s in the package", page, m[1])
			}
		}
		if page != "README.md" && !strings.Contains(all["README.md"], "]("+page+")") {
			t.Errorf("%s is not in the index", page)
		}
		if !strings.Contains(text, "\nFor: ") && page != "README.md" {
			t.Errorf("%s does not say for whom it is", page)
		}
	}
	if !strings.Contains(read(t, "packaging/nfpm.yaml"), "{src: packaging/doc/*.md,") {
		t.Error("the package does not bring the pages")
	}
	if !strings.Contains(read(t, "README.md"), "packaging/doc/README.md") {
		t.Error("README.md does not lead to the pages")
	}
}

// rows are what stands in code marks in the first column of a page's tables.
func rows(text string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(text) {
		first, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !ok || !strings.HasPrefix(line, "| ") {
			continue
		}
		for i, part := range strings.Split(first, "`") {
			if i%2 == 1 {
				out[part] = true
			}
		}
	}
	return out
}

// TestRunbookKnowsEachAlarm takes the names from the code: alarms of modems, nodes of health, troubles of modems and SIMs.
func TestRunbookKnowsEachAlarm(t *testing.T) {
	known := rows(every(t)["runbook.md"])
	names := alarmNames(t)
	if len(names) < 30 {
		t.Fatalf("only %d names were found: %q", len(names), names)
	}
	for _, name := range names {
		if !known[name] {
			t.Errorf("runbook.md has no row for %q", name)
		}
	}
}

// alarmNames are those that the code can show an operator.
func alarmNames(t *testing.T) []string {
	t.Helper()
	var out []string
	for a := modem.AlarmNone + 1; !strings.HasPrefix(a.String(), "alarm "); a++ {
		out = append(out, a.String())
	}
	err := filepath.WalkDir(filepath.Join("..", "..", "..", "daemon"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit: // health.Check{Name: "clock"}, admin.Trouble{Name: "balance"}
				if typ := typeName(n.Type); typ == "Check" || typ == "Trouble" {
					for _, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok && typeName(kv.Key) == "Name" {
							out = appendLiteral(out, kv.Value)
						}
					}
				}
			case *ast.CallExpr: // add("recordings", cause)
				if typeName(n.Fun) == "add" && len(n.Args) == 2 && filepath.Base(path) == "speech.go" {
					out = appendLiteral(out, n.Args[0])
				}
			case *ast.ValueSpec: // const TroubleCap TroubleKind = "cap", maintenanceNode = "maintenance", TestPath = "alarms"
				if name := n.Names[0].Name; typeName(n.Type) == "TroubleKind" || strings.HasSuffix(name, "Node") || name == "TestPath" {
					out = appendLiteral(out, n.Values[0])
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func appendLiteral(out []string, e ast.Expr) []string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		if s, err := strconv.Unquote(lit.Value); err == nil && s != "pinward" {
			return append(out, s)
		}
	}
	return out
}

// TestPortsAreThoseOfTheUnits: the port matrix has each port that a socket unit opens, and the defaults of pinward.toml.
func TestPortsAreThoseOfTheUnits(t *testing.T) {
	known := rows(every(t)["ports.md"])
	units, err := filepath.Glob("../../../systemd/*.socket")
	if err != nil || len(units) == 0 {
		t.Fatalf("no units: %v", err)
	}
	var want []string
	for _, unit := range units {
		b, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^Listen\w+=(.+)$`).FindAllStringSubmatch(string(b), -1) {
			want = append(want, m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^listen = "\[::\]:(\d+)"$`).FindAllStringSubmatch(read(t, "packaging/pinward.toml"), -1) {
		want = append(want, m[1])
	}
	for _, port := range want {
		if !known[port] {
			t.Errorf("ports.md has no row for %s", port)
		}
	}
	for row := range known {
		if _, err := strconv.Atoi(row); err == nil && !slices.Contains(want, row) && !strings.Contains(read(t, "packaging/relay.toml"), row) {
			t.Errorf("ports.md has a row for port %s, which nothing opens", row)
		}
	}
}

// TestCommandsExist: what stands in code marks as a command of pinward is one.
func TestCommandsExist(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "pinward")
	if out, err := exec.Command("go", "build", "-o", bin, "pinward/cmd/pinward").CombinedOutput(); err != nil {
		t.Fatalf("build pinward: %v\n%s", err, out)
	}
	code := regexp.MustCompile("`pinward ((?:[a-z][a-z0-9-]+ ?)+)")
	asked := map[string]bool{}
	for page, text := range every(t) {
		for _, m := range code.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			words = words[:min(len(words), 2)]
			path := strings.Join(words, " ")
			if asked[path] {
				continue
			}
			asked[path] = true
			out, err := exec.Command(bin, append(words, "--help")...).CombinedOutput()
			verbs := strings.Contains(string(out), "pinward "+words[0]+" [command]")
			if err != nil || !strings.Contains(string(out), "pinward "+words[0]) || verbs && len(words) > 1 {
				t.Errorf("%s: there is no `pinward %s`: %v", page, path, err)
			}
		}
	}
}

// TestPortalPageKnowsEachFault: what the API can answer stands in the table of connect-a-portal.md.
func TestPortalPageKnowsEachFault(t *testing.T) {
	text := every(t)["connect-a-portal.md"]
	names, err := filepath.Glob("../../../daemon/api/*.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`Status: \d+, Code: \d+, Kind: "([^"]+)"`).FindAllStringSubmatch(string(b), -1) {
			n++
			if !strings.Contains(text, "`"+m[1]+"`") {
				t.Errorf("connect-a-portal.md does not tell what to do about %s", m[1])
			}
		}
	}
	if n < 40 {
		t.Fatalf("only %d faults were found", n)
	}
}
