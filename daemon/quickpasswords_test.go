package daemon_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuickPasswordsAreOfTests: tests of whole programs hash passwords with less work. A program that did so would keep what a thief of its
// file can guess, so nothing outside the tests may set how much, or make such a hasher.
func TestQuickPasswordsAreOfTests(t *testing.T) {
	met := map[string]int{}
	for _, dir := range []string{"cmd", "daemon"} {
		err := filepath.WalkDir(filepath.Join("..", dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			for at, what := range quickened(f) {
				met[what]++
				if what != "handed on" && what != "made of the option" && what != "the real figure" {
					t.Errorf("%s: %s", fset.Position(at), what)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"handed on", "made of the option", "the real figure"} {
		if met[what] != 1 {
			t.Errorf("%s: %d times, want once; does this test still read the right names?", what, met[what])
		}
	}
}

// quickened finds where a file sets how much work a password is, and what it does there.
func quickened(f *ast.File) map[token.Pos]string {
	found := map[token.Pos]string{}
	named := func(e ast.Expr, names ...string) bool {
		id, ok := e.(*ast.Ident)
		if s, selected := e.(*ast.SelectorExpr); selected {
			id, ok = s.Sel, true
		}
		for _, name := range names {
			if ok && id.Name == name {
				return true
			}
		}
		return false
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if named(left, "passwordWork", "PasswordWork") {
					found[left.Pos()] = "sets the work of a password"
				}
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				if name.Name == "passwordWork" && len(n.Values) > 0 {
					found[name.Pos()] = "sets the work of a password"
				}
			}
		case *ast.UnaryExpr:
			if n.Op == token.AND && named(n.X, "passwordWork", "PasswordWork") {
				found[n.Pos()] = "gives away the address of the work of a password"
			}
		case *ast.KeyValueExpr:
			if named(n.Key, "PasswordWork") {
				found[n.Pos()] = "sets the work of a password"
				if named(n.Value, "passwordWork") {
					found[n.Pos()] = "handed on"
				}
			}
		case *ast.CallExpr:
			if named(n.Fun, "NewQuickPasswords") {
				switch work := n.Args[1]; {
				case named(work, "PasswordWork"):
					found[n.Pos()] = "made of the option"
				case named(work, "iterations"):
					found[n.Pos()] = "the real figure"
				default:
					found[n.Pos()] = "makes quick hashes of passwords"
				}
			}
		}
		return true
	})
	return found
}
