package api

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
)

// reply is an answer that is ready to go out, and to be kept: a body that is encoded already, or a
// fault, which each shape shows in its own way.
type reply struct {
	status   int
	body     []byte // JSON
	fault    *fault
	replayed bool
}

func encode(status int, v any) (reply, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return reply{}, fmt.Errorf("encode answer: %w", err)
	}
	return reply{status: status, body: append(b, '\n')}, nil
}

// shape writes a fault.
type shape func(http.ResponseWriter, *http.Request, fault)

// send writes the answer. Here, and only here, trouble of ours is logged.
func (a *api) send(w http.ResponseWriter, r *http.Request, out reply, err error, show shape) {
	if err != nil {
		f := faultOf(err)
		if f.Kind == faultInternal.Kind {
			if gone(r, err) {
				f = faultStopping // nobody reads it
			} else {
				a.Log.Error("serve request", "method", r.Method, "pattern", r.Pattern, "error", err)
			}
		}
		out.fault = &f
	}
	if out.replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	if out.fault != nil {
		out.fault.headers(w)
		show(w, r, *out.fault)
		return
	}
	writeJSON(w, out.status, "application/json", out.body)
}

func writeJSON(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone: there is nobody to tell
}

func (f fault) headers(w http.ResponseWriter) {
	if f.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.Retry.Seconds()))))
	}
	if f.Status == http.StatusUnauthorized {
		w.Header().Add("WWW-Authenticate", `Basic realm="pinward"`)
		w.Header().Add("WWW-Authenticate", `Bearer realm="pinward"`)
	}
}

// problem is application/problem+json (RFC 9457 section 3.1), with two members of our own.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Field  string `json:"field,omitempty"`       // which part of the request is at fault
	Retry  int    `json:"retry_after,omitempty"` // seconds, as the header Retry-After
}

// problemPath begins the type of each problem, which is an address of this API (RFC 9457 section
// 3.1.1 allows it to be relative).
const problemPath = "/v1/problems/"

func (f fault) problem() problem {
	return problem{problemPath + f.Kind, f.Title, f.Status, f.Detail, f.Field, int(math.Ceil(f.Retry.Seconds()))}
}

func showProblem(w http.ResponseWriter, _ *http.Request, f fault) {
	body, err := json.Marshal(f.problem())
	if err != nil {
		panic(err) // made of strings and numbers alone
	}
	writeJSON(w, f.Status, "application/problem+json", append(body, '\n'))
}

// problemPage says what a problem's type means.
func (a *api) problemPage(w http.ResponseWriter, r *http.Request) {
	for _, f := range kinds() {
		if f.Kind == r.PathValue("kind") {
			out, err := encode(http.StatusOK, map[string]any{
				"type": problemPath + f.Kind, "title": f.Title, "status": f.Status, "code": f.Code,
			})
			a.send(w, r, out, err, showProblem)
			return
		}
	}
	a.send(w, r, reply{}, errPath, showProblem)
}

// kinds lists every fault that can be shown.
func kinds() []fault {
	all := []fault{faultInvalid, faultLimit, faultBusy, faultNumber, faultSlot, faultInternal}
	for _, f := range faults {
		all = append(all, f.fault)
	}
	return all
}

// lasts tells a refusal that the same request would meet again from one that it may not.
func (f fault) lasts() bool { return f.Retry == 0 && f.Status < http.StatusInternalServerError }
