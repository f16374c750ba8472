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
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// version is set by packaging/package.
var version = "(devel)"

func main() {
	cmd, err := newRoot().ExecuteC()
	if err != nil {
		os.Exit(report(cmd, err))
	}
}

// report tells an error that was not told yet, and gives the code to exit with. A monitor takes 1 for a warning of the box: what it
// asked wrongly is UNKNOWN, on the line that it reads.
func report(cmd *cobra.Command, err error) int {
	if code, ok := errors.AsType[exit](err); ok {
		return int(code)
	}
	if path := cmd.CommandPath() + " "; strings.HasPrefix(path, "pinward check ") {
		fmt.Println("PINWARD UNKNOWN: " + strings.ReplaceAll(err.Error(), "|", "/"))
		return pluginUnknown
	}
	fmt.Fprintln(os.Stderr, "pinward:", err)
	return 1
}

// exit is an error that has been told already: only the code is left.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// newRoot is the whole command, so that a test can run it.
func newRoot() *cobra.Command {
	c := &client{silence: 5 * time.Second}
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
	sayUsage(root)
	return root
}

// sayUsage has every command that was given wrong arguments answer with what it takes. What was typed is not repeated: it may be a
// patient's number, and errors end up in logs and tickets.
func sayUsage(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		if wants := sub.Args; wants != nil {
			sub.Args = func(cmd *cobra.Command, args []string) error {
				if wants(cmd, args) != nil {
					if cmd.HasSubCommands() {
						return pickOne(cmd, args)
					}
					return fmt.Errorf("wrong number of arguments; usage: %s; see %s --help", cmd.UseLine(), cmd.CommandPath())
				}
				return nil
			}
		}
		sayUsage(sub)
	}
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
