package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"pinward/cmd/pinward/doctor"
)

// access keeps the address lists of the sockets. It asks no daemon: the kernel drops by these lists
// before one could be asked.
func (c *client) access() *cobra.Command {
	cmd := &cobra.Command{
		Use: "access", Short: "Say which networks may connect to the HTTPS and HL7 ports",
		Long: "The sockets let in what their lists name and drop everything else without an answer. These commands\n" +
			"write one drop-in for each socket, as root, and have systemd read it: it holds at once, also for\n" +
			"connections that are open. See pinward doctor --from ADDRESS for why one is dropped.",
	}
	var h host
	list := &cobra.Command{
		Use: "list", Short: "Show who may connect, and which file says so", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			granted, err := h.Access(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(granted)
			}
			for _, g := range granted {
				fmt.Printf("%-20s %-22s %s\n", g.Socket, g.Network, g.File)
			}
			return nil
		},
	}
	h.flags(list)
	cmd.AddCommand(c.changeAccess("allow CIDR", "Let an address or a network connect", func(ctx context.Context, h *host, socket string, p netip.Prefix) (doctor.Change, error) {
		return h.Allow(ctx, h.config, socket, p)
	}), list, c.changeAccess("remove CIDR", "Take back what pinward access allow let in", func(ctx context.Context, h *host, socket string, p netip.Prefix) (doctor.Change, error) {
		return h.Remove(ctx, socket, p)
	}))
	return cmd
}

func (c *client) changeAccess(use, short string, do func(context.Context, *host, string, netip.Prefix) (doctor.Change, error)) *cobra.Command {
	var h host
	var https, hl7 bool
	cmd := &cobra.Command{
		Use: use, Short: short + ": --https (default), --hl7 or both", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := doctor.ParseNetwork(args[0])
			if err != nil {
				return err
			}
			changes := []doctor.Change{}
			for _, socket := range chosen(https, hl7) {
				ch, err := do(cmd.Context(), &h, socket, p)
				if errors.Is(err, os.ErrPermission) {
					err = fmt.Errorf("only root may write the list: run it by sudo: %w", err)
				}
				if err != nil {
					return err
				}
				changes = append(changes, ch)
			}
			if c.json {
				return printJSON(changes)
			}
			for _, ch := range changes {
				printChange(ch)
			}
			return nil
		},
	}
	h.flags(cmd)
	cmd.Flags().BoolVar(&https, "https", false, "the port of portals and nurses' stations")
	cmd.Flags().BoolVar(&hl7, "hl7", false, "the port of interface engines")
	return cmd
}

// chosen are the sockets that the flags name, HTTPS where they name none.
func chosen(https, hl7 bool) []string {
	var list []string
	if https || !hl7 {
		list = append(list, doctor.Doors["https"])
	}
	if hl7 {
		list = append(list, doctor.Doors["hl7"])
	}
	return list
}

// printChange shows a drop-in as a diff.
func printChange(ch doctor.Change) {
	fmt.Println(ch.File)
	for _, n := range ch.Removed {
		fmt.Println("  - IPAddressAllow=" + n)
	}
	for _, n := range ch.After {
		sign := " "
		if slices.Contains(ch.Added, n) {
			sign = "+"
		}
		fmt.Println("  " + sign + " IPAddressAllow=" + n)
	}
	switch {
	case len(ch.After) == 0:
		fmt.Println("The drop-in is gone; systemd has read it, and it holds now.")
	case len(ch.Added)+len(ch.Removed) == 0:
		fmt.Println("It was there already; nothing was changed.")
	default:
		fmt.Println("systemd has read it, and it holds now.")
	}
	for _, a := range ch.Advice {
		fmt.Println("note:", a)
	}
}
