package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// leaves are all commands that do something.
func leaves(cmd *cobra.Command) (all []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		if sub.HasSubCommands() {
			all = append(all, leaves(sub)...)
		} else {
			all = append(all, sub)
		}
	}
	return all
}

// TestWrongArguments: each command says what it takes, repeats nothing of what was typed, and does nothing.
func TestWrongArguments(t *testing.T) {
	const typed = "+16175551234"
	found := leaves(newRoot())
	if len(found) < 100 {
		t.Fatalf("only %d commands were found", len(found))
	}
	for _, one := range found {
		path := strings.Fields(one.CommandPath())[1:]
		root := newRoot()
		root.SetArgs(append([]string{"--socket", t.TempDir() + "/none"}, append(path, typed, typed, typed, typed, typed, typed, typed)...))
		err := root.Execute()
		if err == nil {
			t.Errorf("%s takes anything", strings.Join(path, " "))
			continue
		}
		if strings.Contains(err.Error(), typed[1:]) {
			t.Errorf("%s repeats what was typed: %v", strings.Join(path, " "), err)
		}
		if one.Args != nil && one.Args(one, nil) == nil && !strings.Contains(err.Error(), "usage: "+one.CommandPath()) {
			t.Errorf("%s, which takes nothing: %v", strings.Join(path, " "), err)
		}
	}
}

// TestMisspelledCommands: of a group that works alone too, as check and backup do, what is no command of it is told so.
func TestMisspelledCommands(t *testing.T) {
	for _, args := range []string{"check nothing", "alarm nothing", "access nothing"} {
		root := newRoot()
		root.SetArgs(strings.Fields(args))
		group, _, _ := strings.Cut(args, " ")
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), "pinward "+group+` has no command "nothing"`) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// TestMonitorsAreToldUnknown: a plugin that is called wrongly does not warn of the box.
func TestMonitorsAreToldUnknown(t *testing.T) {
	for args, want := range map[string]int{"check modem x": pluginUnknown, "check --nonsense": pluginUnknown, "check modem --nonsense": pluginUnknown, "check nothing": pluginUnknown, "status x": 1, "checks": 1} {
		root := newRoot()
		root.SetArgs(strings.Fields(args))
		cmd, err := root.ExecuteC()
		if err == nil {
			t.Errorf("%s: no error", args)
		} else if got := report(cmd, err); got != want {
			t.Errorf("%s exits %d, want %d", args, got, want)
		}
	}
}
