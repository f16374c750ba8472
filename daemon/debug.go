package daemon

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/store"
)

// actDebug says that somebody looked into the running program.
const actDebug store.Action = "debug.look"

// profiling lets one profile be taken at a time: the runtime has one of the processor.
var profiling sync.Mutex

// longestProfile bounds how long a profile of the processor is taken.
const longestProfile = 2 * time.Minute

// Profile is what `pinward debug` gets: the file as `go tool pprof` reads it, or text.
type Profile struct {
	Kind string `json:"kind"`
	Data []byte `json:"data"`
}

// debugRoutes are for admins alone, on the control socket alone. Stacks hold no values; each look is an entry.
func (b *box) debugRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "POST /debug/profile", May: access.SiteWrite, Do: takeProfile},
		{Pattern: "GET /debug/goroutines", May: access.SiteWrite, Do: showGoroutines},
		{Pattern: "GET /debug/vars", May: access.SiteWrite, Do: b.showVars},
	}
}

func looked(ctx context.Context, s *store.Store, by store.Actor, kind string) error {
	return s.Update(ctx, by, func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: actDebug, Outcome: store.OK, Attrs: []store.Attr{{Key: "kind", Value: kind}}})
	})
}

// profiles are those of runtime/pprof that `pinward debug profile` knows, besides cpu.
var profiles = []string{"heap", "allocs", "goroutine", "mutex", "block", "threadcreate"}

func takeProfile(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		Kind    string `json:"kind"`
		Seconds int    `json:"seconds"` // of a profile of the processor
	}
	if err := decodeStrictly(r, &req); err != nil {
		return nil, err
	}
	span := time.Duration(req.Seconds) * time.Second
	if req.Kind != "cpu" && !slices.Contains(profiles, req.Kind) {
		return nil, fmt.Errorf("%w: a profile is cpu, %s", admin.ErrState, strings.Join(profiles, ", "))
	}
	if req.Kind == "cpu" && (span <= 0 || span > longestProfile) {
		return nil, fmt.Errorf("%w: a profile of the processor takes 1 to %.0f seconds", admin.ErrState, longestProfile.Seconds())
	}
	if !profiling.TryLock() {
		return nil, fmt.Errorf("%w: another profile is being taken", admin.ErrState)
	}
	defer profiling.Unlock()
	if err := looked(r.Context(), s, by, req.Kind); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if req.Kind != "cpu" {
		if err := pprof.Lookup(req.Kind).WriteTo(&out, 0); err != nil {
			return nil, fmt.Errorf("take profile: %w", err)
		}
		return Profile{req.Kind, out.Bytes()}, nil
	}
	if err := pprof.StartCPUProfile(&out); err != nil {
		return nil, fmt.Errorf("take profile: %w", err)
	}
	defer pprof.StopCPUProfile() // it may be called twice
	select {
	case <-time.After(span):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	pprof.StopCPUProfile()
	return Profile{req.Kind, out.Bytes()}, nil
}

func showGoroutines(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	if err := looked(r.Context(), s, by, "goroutines"); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&out, 2); err != nil {
		return nil, fmt.Errorf("show goroutines: %w", err)
	}
	return map[string]string{"goroutines": out.String()}, nil
}

// showVars gives the figures of the Go runtime, and how long each loop has been silent.
func (b *box) showVars(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	if err := looked(r.Context(), s, by, "vars"); err != nil {
		return nil, err
	}
	out := map[string]float64{}
	var samples []metrics.Sample
	for _, d := range metrics.All() {
		if d.Kind != metrics.KindFloat64Histogram {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
	}
	metrics.Read(samples)
	for _, m := range samples {
		switch m.Value.Kind() {
		case metrics.KindUint64:
			out["go"+m.Name] = float64(m.Value.Uint64())
		case metrics.KindFloat64:
			if v := m.Value.Float64(); !math.IsInf(v, 0) && !math.IsNaN(v) {
				out["go"+m.Name] = v
			}
		}
	}
	for name, silent := range b.pulses.ages() {
		out["loop/"+name+":silent_seconds"] = silent.Seconds()
	}
	st := s.Stats()
	out["store/entries"], out["store/headed"], out["store/bytes"] = float64(st.Entries), float64(st.Headed), float64(st.Size)
	return out, nil
}
