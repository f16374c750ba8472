package daemon_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ways lead out of the process, by import path. Listening is none: accepting tells nobody anything.
var ways = map[string][]string{
	"net": {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer", "Resolver", "DefaultResolver",
		"LookupHost", "LookupIP", "LookupAddr", "LookupCNAME", "LookupMX", "LookupNS", "LookupPort", "LookupSRV", "LookupTXT",
		"ResolveTCPAddr", "ResolveUDPAddr", "ResolveIPAddr"},
	"net/http":                   {"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport", "ProxyFromEnvironment"},
	"net/smtp":                   {"Dial", "SendMail"},
	"net/rpc":                    {"Dial", "DialHTTP", "DialHTTPPath"},
	"crypto/tls":                 {"Dial", "DialWithDialer", "Dialer"},
	"log/syslog":                 {"Dial", "New", "NewLogger"},
	"syscall":                    {"Socket", "Connect"},
	"golang.org/x/sys/unix":      {"Socket", "Connect"},
	"github.com/go-ldap/ldap/v3": {"Dial", "DialTLS", "DialURL", "DialWithDialer", "DialWithTLSConfig", "DialWithTLSDialer"},
	"os/exec":                    {"Command", "CommandContext"}, // nor does it run what could dial
}

// excepted are the files that may, with what for. The daemon's own way to anything is dial.go.
var excepted = map[string]string{
	"daemon/dial.go": "asks the relay for a connection, and reaches the sockets of this machine",
	"tpm/link.go":    "a TPM behind a Unix socket, by a system call of its own: it knows no rooms",
}

// TestDiallingIsInOneFile reads what is linked into the daemon, but the simulator, which is not.
func TestDiallingIsInOneFile(t *testing.T) {
	met := map[string]bool{}
	for _, dir := range []string{"daemon", "store", "hl7", "modem", "tpm", "systemd", "cmd/pinwardd"} {
		root := filepath.Join("..", dir)
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			switch name := filepath.ToSlash(path); {
			case err != nil:
				return err
			case e.IsDir() && (e.Name() == "testdata" || e.Name() == "modemsim" || e.Name() == "storetest" || e.Name() == "voicetest" || e.Name() == "directorytest"):
				return fs.SkipDir
			case e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
				return nil
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			room := strings.TrimPrefix(filepath.ToSlash(path), "../")
			for _, way := range waysOut(f) {
				if excepted[room] == "" {
					t.Errorf("%s uses %s: connections are made in daemon/dial.go alone", room, way)
				}
				met[room] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for file := range excepted {
		if !met[file] {
			t.Errorf("%s is excepted and dials nothing", file)
		}
	}
}

// majorVersion ends an import path whose package has the name before it.
var majorVersion = regexp.MustCompile(`/v[0-9]+$`)

// waysOut names those that a file uses. An http.Transport or an http.Client that brings no way of its own uses that of net/http.
func waysOut(f *ast.File) []string {
	names := map[string]string{}
	for _, i := range f.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		name := majorVersion.ReplaceAllString(path, "")
		name = name[strings.LastIndex(name, "/")+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = path
	}
	var found []string
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && slices.Contains(ways[names[x.Name]], n.Sel.Name) {
				found = append(found, names[x.Name]+"."+n.Sel.Name)
			}
		case *ast.CompositeLit:
			sel, ok := n.Type.(*ast.SelectorExpr)
			if !ok {
				break
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok || names[x.Name] != "net/http" {
				break
			}
			if sel.Sel.Name == "Client" && !sets(n, "Transport") || sel.Sel.Name == "Transport" && !sets(n, "DialContext", "DialTLSContext") {
				found = append(found, fmt.Sprintf("an http.%s without a way of its own", sel.Sel.Name))
			}
		}
		return true
	})
	return found
}

// sets tells whether a composite literal has one of the fields.
func sets(lit *ast.CompositeLit, fields ...string) bool {
	return slices.ContainsFunc(lit.Elts, func(e ast.Expr) bool {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		key, ok := kv.Key.(*ast.Ident)
		return ok && slices.Contains(fields, key.Name)
	})
}

// TestWaysOutAreSeen: the lint finds each kind, also under another name.
func TestWaysOutAreSeen(t *testing.T) {
	for source, want := range map[string]int{
		`import "net"; var _ = net.Dial`:                                              1,
		`import n "net"; var _ n.Dialer`:                                              1,
		`import "net"; var _ net.Conn`:                                                0,
		`import "net/http"; var _ = http.Client{}`:                                    1,
		`import "net/http"; var _ = http.Client{Transport: nil}`:                      0,
		`import "net/http"; var _ = &http.Transport{}`:                                1,
		`import "net/http"; var _ = &http.Transport{DialContext: nil}`:                0,
		`import "net/http"; func f() { http.Get("x") }`:                               1,
		`import "golang.org/x/sys/unix"; func f() { unix.Connect(0, nil) }`:           1,
		`import "pinward/x/net"; var _ = net.Dial`:                                    0,
		`import "os/exec"; func f() { exec.Command("curl") }`:                         1,
		`import "crypto/tls"; var _ = tls.Client; var _ tls.Dialer; var _ tls.Config`: 1,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x; "+source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := waysOut(f); len(got) != want {
			t.Errorf("%s: %v, want %d", source, got, want)
		}
	}
}
