package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// policyParts are the parts of the policy in the order in which changes are shown. What belongs to the box
// (ports, devices, TLS) is in pinward.toml.
var policyParts = []string{"site", "limits", "templates", "services", "sims", "hl7", "acceptance", "alarms", "retention"}

func (c *client) config() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show and change the hospital's policy as a file"}
	cmd.AddCommand(&cobra.Command{
		Use: "export", Short: "Print the policy in force, all of it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := c.policy(cmd.Context(), http.MethodGet, "/config", nil)
			if err != nil {
				return err
			}
			return printJSON(b)
		},
	}, c.configApply())
	return cmd
}

func (c *client) configApply() *cobra.Command {
	yes, dry := false, false
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Check a policy, show what it changes, and put it in force", Args: cobra.ExactArgs(1),
		Long: "Check a policy, show what it changes, and put it in force: all of it, or nothing.\n\n" +
			"A part that is not in the file stays as it is; of a part that is, all is replaced. A site that is not\n" +
			"live does not become so by a file: that takes two persons and pinward site mode live.",
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := hl7File(args[0])
			if err != nil {
				return err
			}
			old, err := c.policy(cmd.Context(), http.MethodGet, "/config", nil)
			if err != nil {
				return err
			}
			would, err := c.policy(cmd.Context(), http.MethodPut, "/config?dry=1", file)
			if err != nil {
				return err
			}
			lines, err := policyDiff(old, would)
			if err != nil {
				return err
			}
			if len(lines) == 0 {
				fmt.Println("nothing changes")
				return nil
			}
			fmt.Println(strings.Join(lines, "\n"))
			if dry {
				return nil
			}
			if !yes {
				if err := confirm("Put this in force"); err != nil {
					return err
				}
			}
			// What was shown is what is done: the daemon refuses where the policy is another one by now.
			was := sha256.Sum256(bytes.TrimSpace(old))
			_, err = c.policy(cmd.Context(), http.MethodPut, "/config?was="+hex.EncodeToString(was[:]), file)
			return err
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only check, and show what would change")
	return cmd
}

// policyDiff gives the lines that differ, part by part; none where nothing does.
func policyDiff(old, would json.RawMessage) ([]string, error) {
	var a, b map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(old, &a), json.Unmarshal(would, &b)); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	var lines []string
	for _, part := range policyParts {
		if d := diff(indented(a[part]), indented(b[part])); len(d) > 0 {
			lines = append(append(lines, part+":"), d...)
		}
	}
	return lines, nil
}

// policy asks the daemon for the policy, or gives it a file.
func (c *client) policy(ctx context.Context, method, path string, file []byte) (json.RawMessage, error) {
	resp, err := c.stream(ctx, method, path, "application/json", bytes.NewReader(file))
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
