package main

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// plannedDay is how a planned day went; the waits are in nanoseconds, as Go writes them.
type plannedDay struct {
	Codes, Late, Expired, Notices, Unsent int
	P50, P99, Worst                       time.Duration
	CapOut                                time.Duration `json:"cap_out"`
	CapReached                            bool          `json:"cap_reached"`
}

func (c *client) modemPlan() *cobra.Command {
	var load struct {
		CodesPerMinute float64       `json:"codes_per_minute"`
		Minutes        int           `json:"minutes"`
		CodesPerDay    int           `json:"codes_per_day"`
		NoticesPerDay  int           `json:"notices_per_day"`
		From           int           `json:"from"`
		To             int           `json:"to"`
		Life           time.Duration `json:"life,omitempty"`
		Modems         int           `json:"modems,omitempty"`
	}
	cmd := &cobra.Command{
		Use: "plan", Short: "Say whether codes would go in time on the worst day; exits 1 when not", Args: cobra.NoArgs,
		Long: "Plan plays a day with the modems that there are, their part times and their SIMs' caps, once with all\n" +
			"of them and once with the best one dead. It says when codes would wait over 10 s or expire, when the\n" +
			"caps of a day are used up, and how many SIMs to add. What you leave out is taken from the last day.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Load struct {
					CodesPerMinute float64 `json:"codes_per_minute"`
					Minutes        int
					NoticesPerDay  int `json:"notices_per_day"`
					Senders        []struct{ Name string }
				}
				Forecast struct {
					All     plannedDay
					OneDead plannedDay `json:"one_dead"`
					Dead    string
					Advice  []string
				}
			}
			if math.IsNaN(load.CodesPerMinute) || math.IsInf(load.CodesPerMinute, 0) {
				return errors.New("--codes-per-minute is no number")
			}
			show, err := c.call(cmd.Context(), http.MethodPost, "/modems/plan", load, &out)
			if err != nil {
				return err
			}
			if show {
				l, f := out.Load, out.Forecast
				fmt.Printf("%.4g codes a minute for %d minutes, %d notices a day, modems: %d\n", l.CodesPerMinute, l.Minutes, l.NoticesPerDay, len(l.Senders))
				f.All.print("all modems")
				f.OneDead.print("without " + f.Dead)
				for _, a := range f.Advice {
					fmt.Println("- " + a)
				}
				if len(f.Advice) == 0 {
					fmt.Println("it holds: every code goes in time, every notice on its day, also with the best modem dead")
				}
			}
			if len(out.Forecast.Advice) > 0 {
				return exit(1)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.Float64Var(&load.CodesPerMinute, "codes-per-minute", 0, "codes a minute at the peak")
	f.IntVar(&load.Minutes, "minutes", 0, "how long the peak lasts (default 10)")
	f.IntVar(&load.CodesPerDay, "codes-per-day", 0, "codes beside the peak, over the day")
	f.IntVar(&load.NoticesPerDay, "notices-per-day", 0, "notices a day")
	f.IntVar(&load.From, "from", 0, "hour of the day from which notices go (default 8)")
	f.IntVar(&load.To, "to", 0, "hour until which they go (default 20)")
	f.DurationVar(&load.Life, "life", 0, "life of a code (default 5m)")
	f.IntVar(&load.Modems, "modems", 0, "plan with so many modems like those that there are")
	return cmd
}

func (d plannedDay) print(who string) {
	fmt.Printf("%-20s %d codes: wait %s at the median, %s at p99, %s at worst; %d wait over 10 s, %d expire; %d of %d notices left\n", who+":", d.Codes,
		d.P50.Round(100*time.Millisecond), d.P99.Round(100*time.Millisecond), d.Worst.Round(100*time.Millisecond), d.Late, d.Expired, d.Unsent, d.Notices)
	if d.CapReached {
		fmt.Printf("%-20s the caps of the day are used up at %02d:%02d\n", "", int(d.CapOut.Hours()), int(d.CapOut.Minutes())%60)
	}
}
