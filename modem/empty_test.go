package modem

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pinward/modem/line"
	"pinward/modem/modemsim"
)

// fill puts a text into each memory of the modem, and one more into its own; ours is selected again afterwards.
func (w *world) fill() {
	w.t.Helper()
	w.m.mu.Lock()
	s := w.m.cur
	w.m.mu.Unlock()
	for _, mem := range profiles()[w.m.Status().Profile].Storage {
		w.tells(fmt.Sprintf("+CPMS=%q,%q,%q", mem, mem, mem))
		w.reply("of " + mem)
		time.Sleep(5 * time.Second)
	}
	w.tells(s.back)
	w.reply("one more")
	time.Sleep(5 * time.Second)
}

// left counts what is in all memories of the SIM and the modem.
func (w *world) left() (n int) {
	w.t.Helper()
	for _, mem := range profiles()[w.m.Status().Profile].Storage {
		var used int
		if _, err := fmt.Sscanf(w.tells(fmt.Sprintf("+CPMS=%q,%q,%q", mem, mem, mem)), "+CPMS: %d,", &used); err != nil {
			w.t.Fatal(err)
		}
		n += used
	}
	return n
}

// TestEmpty: every memory of every kind of modem is empty afterwards, read or not, taken by somebody or not; and the modem goes on
// taking texts.
func TestEmpty(t *testing.T) {
	for _, profile := range allProfiles {
		for name, f := range map[string]modemsim.Faults{"": {}, " that ignores the flag": {DeleteOne: true}, " that wants three": {ThreeStores: true}} {
			t.Run(profile+name, func(t *testing.T) {
				inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}, faults: f}, func(w *world) {
					w.ready()
					time.Sleep(3 * time.Minute) // the other memories were looked at
					w.fill()
					if n := w.left(); n != 3 {
						w.t.Fatalf("%d texts to begin with, want 3", n)
					}
					if err := w.m.Empty(context.Background()); err != nil {
						w.t.Fatal(err)
					}
					if n := w.left(); n != 0 {
						w.t.Errorf("%d texts are left", n)
					}
				})
			})
		}
	}
}

// TestEmptyThenGoesOn: what comes after is taken as before.
func TestEmptyThenGoesOn(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}}, func(w *world) {
		w.ready()
		if err := w.m.Empty(context.Background()); err != nil {
			w.t.Fatal(err)
		}
		w.reply("later")
		if e := w.event(time.Minute); e.Text == nil || e.Text.Body != "later" {
			w.t.Errorf("%+v", e)
		}
	})
}

// TestEmptyClaimsNothing: whatever keeps the texts where they are is an error; a modem's OK, or a memory that cannot be selected
// because its SIM is gone, is not taken for an empty one.
func TestEmptyClaimsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		faults modemsim.Faults
		want   error
	}{
		"says OK and keeps them": {modemsim.Faults{StoreFull: true}, ErrNotEmpty},
		"refuses to delete":      {modemsim.Faults{RefuseCommand: "+CMGD"}, ErrNotEmpty},
		"does not tell":          {modemsim.Faults{RefuseCommand: "+CPMS"}, errNoMemory},
		"no SIM":                 {modemsim.Faults{SIMRemoved: true}, nil},
		"is silent":              {modemsim.Faults{Silence: -1}, line.ErrTimeout},
		"is gone":                {modemsim.Faults{Unplugged: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}}, func(w *world) {
				w.ready()
				time.Sleep(3 * time.Minute)
				w.fill()
				w.faults(c.faults)
				err := w.m.Empty(context.Background())
				if err == nil || c.want != nil && !errors.Is(err, c.want) {
					w.t.Errorf("%v, want %v", err, c.want)
				}
			})
		})
	}
}

// TestEmptyDeadModem: one that never came up.
func TestEmptyDeadModem(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{Unplugged: true}}, func(w *world) {
		time.Sleep(time.Minute)
		if err := w.m.Empty(context.Background()); !errors.Is(err, ErrNotUp) {
			w.t.Errorf("%v, want ErrNotUp", err)
		}
	})
}
