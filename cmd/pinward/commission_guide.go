package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"
)

// guide leads an operator through the acceptance.
type guide struct {
	*client
	report string
	anew   bool
	wait   time.Duration
	typed  chan string // lines of the terminal; nil where nobody types
}

// run does what is left of each line, then makes the report.
func (g *guide) run(ctx context.Context) error {
	if g.report != "" {
		if _, err := os.Stat(filepath.Dir(g.report)); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if g.anew {
		if err := g.get(ctx, http.MethodPost, "/acceptance/anew", struct{}{}, nil); err != nil {
			return err
		}
	}
	var r acceptanceReport
	if err := g.get(ctx, http.MethodGet, "/acceptance", nil, &r); err != nil {
		return err
	}
	switch {
	case len(r.Carriers) == 0:
		return errors.New("no test phones are known: pinward commission phone add NUMBER --carrier NAME")
	case len(r.SIMs) == 0:
		return errors.New("no modem shows a SIM: pinward modem list")
	}
	if !g.json && term.IsTerminal(int(os.Stdin.Fd())) {
		g.listen()
	}
	for _, sim := range r.SIMs {
		for _, line := range sim.Lines {
			if err := g.line(ctx, sim, line); err != nil {
				return err
			}
		}
	}
	return g.finish(ctx)
}

// listen hands on what the operator types; it ends with the process, as a read of a terminal cannot be ended.
func (g *guide) listen() {
	g.typed = make(chan string)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			g.typed <- in.Text()
		}
	}()
}

// parts are what is begun together, with what the operator has to do for it.
var parts = []struct {
	begin string
	steps []string
	ask   string
}{
	{"text", []string{"text", "receipt", "delay"}, "A text goes to the handset now. Where it arrives and no receipt comes, type its last four characters."},
	{"stop", []string{"stop"}, "On the handset, answer the text with STOP. When that is confirmed, answer with START."},
	{"call", []string{"call", "key"}, "The handset rings: answer, and press 1 when you are asked to."},
	{"inbound", []string{"inbound"}, "Call the number of the SIM from the handset: it hangs up. (A call that the carrier forwards never reaches the SIM: end that by pinward modem forward NAME --off.)"},
}

func (g *guide) line(ctx context.Context, sim acceptedSIM, line acceptanceLine) error {
	g.say("\n%s (%s, SIM %s) with %s\n", sim.Modem, sim.Operator, sim.SIM, line.Carrier)
	for _, p := range parts {
		left := false
		for _, name := range p.steps {
			left = left || !line.step(name).done()
		}
		if !left {
			g.say("  %-8s passed before\n", p.begin)
			continue
		}
		order := map[string]string{"modem": sim.Modem, "carrier": line.Carrier, "step": p.begin}
		g.say("  %s\n", p.ask)
		var now acceptanceLine
		if err := g.begin(ctx, order, &now); err != nil {
			return err
		}
		now, err := g.follow(ctx, order, now, p.steps)
		if err != nil {
			return err
		}
		for _, name := range p.steps {
			g.tell(sim.Modem, line.Carrier, now.step(name))
		}
	}
	return nil
}

// begin begins a step; where another test of the SIM goes on, it waits for that.
func (g *guide) begin(ctx context.Context, order map[string]string, now *acceptanceLine) error {
	until := time.Now().Add(g.wait)
	for {
		err := g.get(ctx, http.MethodPost, "/acceptance/step", order, now)
		if err == nil || !strings.Contains(err.Error(), "a test of this SIM goes on") || time.Now().After(until) {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow watches until nothing waits any more, or a person takes longer than one is waited for.
func (g *guide) follow(ctx context.Context, order map[string]string, now acceptanceLine, steps []string) (acceptanceLine, error) {
	until := time.Now().Add(g.wait)
	for {
		waits := false
		for _, name := range steps {
			waits = waits || now.step(name).State == "waiting"
		}
		if !waits || time.Now().After(until) {
			return now, nil
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case word := <-g.typed:
			if err := g.arrived(ctx, order, word); err != nil {
				g.say("  %v\n", err)
			}
		case <-ctx.Done():
			return now, ctx.Err()
		}
		var r acceptanceReport
		if err := g.get(ctx, http.MethodGet, "/acceptance", nil, &r); err != nil {
			return now, err
		}
		for _, sim := range r.SIMs {
			for _, line := range sim.Lines {
				if sim.Modem == order["modem"] && line.Carrier == order["carrier"] {
					now = line
				}
			}
		}
	}
}

// arrived tells the box what the operator reads on the handset.
func (g *guide) arrived(ctx context.Context, order map[string]string, word string) error {
	if order["step"] != "text" || strings.TrimSpace(word) == "" {
		return nil
	}
	return g.get(ctx, http.MethodPost, "/acceptance/arrived", map[string]string{"modem": order["modem"], "carrier": order["carrier"], "code": word}, nil)
}

func (g *guide) say(format string, args ...any) {
	if !g.json {
		fmt.Printf(format, args...)
	}
}

func (g *guide) tell(modem, carrier string, s acceptanceStep) {
	if g.json {
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"modem": modem, "carrier": carrier, "step": s.Step, "state": s.State, "seconds": s.Seconds, "cause": s.Cause})
		return
	}
	words := s.State
	if s.State == "waiting" {
		words = "not done in time"
	}
	if s.Seconds > 0 {
		words += fmt.Sprintf(", %.1f s", s.Seconds)
	}
	if s.Cause != "" {
		words += ": " + s.Cause
	}
	fmt.Printf("  %-8s %s\n", s.Step, words)
}

// finish has the report made and signed, and prints it.
func (g *guide) finish(ctx context.Context) error {
	var s signedReport
	if err := g.get(ctx, http.MethodPost, "/acceptance/finish", struct{}{}, &s); err != nil {
		return err
	}
	if g.report != "" {
		if err := s.write(g.report); err != nil {
			return err
		}
	}
	if g.json {
		if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"passed": s.Passed, "sha256": s.SHA256, "head": s.Head, "report": s.Report}); err != nil {
			return err
		}
	}
	if !s.Passed {
		g.say("\nNOT PASSED. Run it again for what is left; pinward commission waive answers for what cannot be.\n")
		return exit(1)
	}
	g.say("\nPassed. The report is in the audit, SHA-256 %s.\n", s.SHA256)
	return nil
}
