package record

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pinward/store"
)

// composed are the places where an action is put together, and what can come of it.
var composed = map[string][]store.Action{
	"report.": {"report." + KindDisclosures, "report." + KindActivity, "report." + KindIncidents, "report." + KindEvidence},
}

// actionsOf reads from the program's own text every action that it can record: constants of type Action,
// and strings that an entry is made with.
func actionsOf(t *testing.T, root string) map[store.Action]string {
	t.Helper()
	found := map[store.Action]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		note := func(e ast.Expr) {
			lit, ok := e.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return
			}
			s, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Error(err)
			}
			if list, ok := composed[s]; ok {
				for _, a := range list {
					found[a] = path
				}
				return
			}
			found[store.Action(s)] = path
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if named(n.Type, "Action") {
					for _, v := range n.Values {
						note(v)
					}
				}
			case *ast.CompositeLit:
				if !named(n.Type, "Entry") {
					break
				}
				for _, el := range n.Elts {
					if kv, ok := el.(*ast.KeyValueExpr); ok && named(kv.Key, "Action") {
						note(kv.Value)
					}
				}
			case *ast.CallExpr: // store.Action("report." + kind)
				if named(n.Fun, "Action") && len(n.Args) == 1 {
					if sum, ok := n.Args[0].(*ast.BinaryExpr); ok {
						note(sum.X)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func named(e ast.Expr, name string) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == name
	case *ast.SelectorExpr:
		return e.Sel.Name == name
	}
	return false
}

// TestEveryActionIsMapped: an action that the log can hold is an event, or the table says why it is none.
func TestEveryActionIsMapped(t *testing.T) {
	found := actionsOf(t, "../..")
	if len(found) < 120 {
		t.Fatalf("only %d actions found", len(found))
	}
	for _, action := range slices.Sorted(maps.Keys(found)) {
		ev, ok := auditEvents[action]
		switch {
		case !ok:
			t.Errorf("%s (%s) is not in auditEvents: which event is it for an audit repository?", action, found[action])
		case ev.Skip == "" && (ev.ID == noType || !slices.Contains([]string{"C", "R", "U", "D", "E"}, ev.Do)):
			t.Errorf("%s has neither an event nor a reason", action)
		case ev.Skip != "" && ev != (auditEvent{Skip: ev.Skip}):
			t.Errorf("%s has both an event and a reason", action)
		}
	}
	for action := range auditEvents {
		if _, ok := found[action]; !ok {
			t.Errorf("%s is in auditEvents, and nothing records it", action)
		}
	}
}
