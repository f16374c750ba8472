// Command pinward is the operator's tool: it talks to the daemon over its control socket. `audit
// verify` needs no daemon, no key and no network.
//
// Output is for people; --json prints the answer as it came. It exits 0 when what was asked for is
// so, and 1 when not; `check` exits as monitoring plugins do.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by packaging/package.
var version = "(devel)"

func main() {
	err := newRoot().Execute()
	if err == nil {
		return
	}
	code := 1
	if e, ok := errors.AsType[exit](err); ok {
		code = int(e)
	} else {
		fmt.Fprintln(os.Stderr, "pinward:", err)
	}
	os.Exit(code)
}

// exit is an error that has been told already: only the code is left.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// newRoot is the whole command, so that a test can run it.
func newRoot() *cobra.Command {
	c := &client{}
	root := &cobra.Command{
		Use:           "pinward",
		Version:       version,
		Short:         "Operate the hospital's verification and texting service",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&c.socket, "socket", "/run/pinward/pinward.sock", "control socket of the daemon")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print the answer as JSON")
	root.AddCommand(
		c.setup(), c.login(), c.logout(), c.status(), c.check(),
		c.verify(), c.send(), c.audit(), c.key(), c.backup(), c.restore(), c.outbox(), c.modemCommand(), c.hl7(), c.config(), c.alarm(), c.downtime(), c.maintenance(),
		c.user(), c.directory(), c.clients(), c.site(), speechCommand(), serviceCommand(), newUpdater(c).command(), c.commission(), c.decommission(),
		c.doctor(), c.access(), c.top(), c.log(), c.debug(),
	)
	refuseBare(root)
	return root
}

// refuseBare has every group that was called without one of its commands say so.
func refuseBare(cmd *cobra.Command) {
	for _, group := range cmd.Commands() {
		if group.HasSubCommands() && group.RunE == nil {
			group.RunE = pickOne
		}
		refuseBare(group)
	}
}

// pickOne answers a group that was called without one of its commands, or with one that it lacks: an
// error, where cobra would show help and succeed.
func pickOne(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s has no command %q; see %[1]s --help", cmd.CommandPath(), args[0])
	}
	return fmt.Errorf("%s needs a command; see %[1]s --help", cmd.CommandPath())
}
