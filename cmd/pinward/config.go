package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// policyParts are the parts of the policy by the name that each has in the file, and where the daemon
// keeps them. What belongs to the box (ports, devices, TLS) is in pinward.toml.
var policyParts = []struct{ name, path string }{{"hl7", "/hl7/policy"}}

func (c *client) config() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show and change the hospital's policy as a file"}
	cmd.AddCommand(&cobra.Command{
		Use: "export", Short: "Print the policy in force, all of it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			policy := map[string]json.RawMessage{}
			for _, p := range policyParts {
				b, err := c.fetch(cmd, http.MethodGet, p.path, nil)
				if err != nil {
					return err
				}
				policy[p.name] = b
			}
			return printJSON(policy)
		},
	}, c.configApply())
	return cmd
}

func (c *client) configApply() *cobra.Command {
	yes, dry := false, false
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Check a policy, show what it changes, and put it in force", Args: cobra.ExactArgs(1),
		Long: "Check a policy, show what it changes, and put it in force.\n\nA part that is not in the file stays as it is; of a part that is, all is replaced.",
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := hl7File(args[0])
			if err != nil {
				return err
			}
			var policy map[string]json.RawMessage
			if err := json.Unmarshal(file, &policy); err != nil {
				return fmt.Errorf("read policy: %w", err)
			}
			changed := false
			for _, p := range policyParts {
				next, ok := policy[p.name]
				delete(policy, p.name)
				if !ok {
					continue
				}
				old, err := c.fetch(cmd, http.MethodGet, p.path, nil)
				if err != nil {
					return err
				}
				would, err := c.fetch(cmd, http.MethodPut, p.path+"?whole=1&dry=1", next)
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				lines := diff(indented(old), indented(would))
				if len(lines) == 0 {
					continue
				}
				changed = true
				fmt.Printf("%s:\n%s\n", p.name, strings.Join(lines, "\n"))
				policy[p.name] = next
			}
			for name := range policy {
				if !known(name) {
					return fmt.Errorf("read policy: there is no part %q", name)
				}
			}
			if !changed {
				fmt.Println("nothing changes")
			}
			if dry || !changed {
				return nil
			}
			if !yes {
				if err := confirm("Put this in force"); err != nil {
					return err
				}
			}
			for _, p := range policyParts {
				if next, ok := policy[p.name]; ok {
					if _, err := c.fetch(cmd, http.MethodPut, p.path+"?whole=1", next); err != nil {
						return fmt.Errorf("%s: %w", p.name, err)
					}
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only check, and show what would change")
	return cmd
}

func known(name string) bool {
	for _, p := range policyParts {
		if p.name == name {
			return true
		}
	}
	return false
}

// fetch asks the daemon for a part of the policy.
func (c *client) fetch(cmd *cobra.Command, method, path string, body json.RawMessage) (json.RawMessage, error) {
	var send any
	if body != nil {
		send = body
	}
	resp, err := c.do(cmd.Context(), method, path, send)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if !json.Valid(b) {
		return nil, errors.New("read answer: not JSON")
	}
	return b, nil
}

func indented(b json.RawMessage) []string {
	var out bytes.Buffer
	if json.Indent(&out, b, "", "  ") != nil {
		return []string{string(b)}
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

// diff gives the lines that differ, each with "-" or "+" and two lines around for the place; none where a
// and b are the same.
func diff(a, b []string) []string {
	// Longest common subsequence; a policy has some thousand lines.
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var all []string
	var differs []bool
	put := func(sign, line string) { all, differs = append(all, sign+line), append(differs, sign != "  ") }
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			put("  ", a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			put("- ", a[i])
			i++
		default:
			put("+ ", b[j])
			j++
		}
	}
	const around = 2
	var out []string
	last := -1
	for k := range all {
		near := false
		for n := max(k-around, 0); n <= min(k+around, len(all)-1); n++ {
			near = near || differs[n]
		}
		if !near {
			continue
		}
		if last >= 0 && k > last+1 {
			out = append(out, "  ...")
		}
		out, last = append(out, all[k]), k
	}
	return out
}
