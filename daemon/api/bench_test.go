package api

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/store"
)

// benchBox is a box whose budgets of client and prefix are lifted, as the demo does, and whose modem
// is never the bound.
func benchBox(b *testing.B) *box {
	box := newBox(b)
	box.Do(func(tx *store.Tx) error {
		l := limit.Default()
		l.Client.Max, l.Client.Reserve, l.Prefix.Max, l.Prefix.Reserve = 0, 0, 0, 0
		if err := limit.Set(tx, l); err != nil {
			return err
		}
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "north", Ready: true, PartTime: time.Nanosecond})
	})
	return box
}

// areas are area codes of the plan, so that there are numbers enough.
var areas = []int{617, 781, 508, 978, 413, 212, 646, 718, 917, 315, 607, 716, 202, 301, 410, 215, 412, 610, 717, 804}

// numberOf is the i-th number of the plan.
func numberOf(i int64) string {
	return fmt.Sprintf("+1%03d%03d%04d", areas[i%20], 220+i/20%300, 2000+i/6000%8000)
}

// BenchmarkStart is a start over the native API, in process, 256 callers at once (goal: 6,000/s on two
// cores).
func BenchmarkStart(b *testing.B) {
	box := benchBox(b)
	var n atomic.Int64
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			body := fmt.Appendf(nil, `{"service":"patient-signup","to":%q}`, numberOf(n.Add(1)))
			if code := box.post("/v1/verifications", "application/json", body); code != http.StatusCreated {
				b.Errorf("status %d", code)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "starts/s")
}

// post serves one request without a connection.
func (b *box) post(path, contentType string, body []byte) int {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+b.clients[access.Portal].token)
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w.Code
}

// pendingFor makes verifications for n checks, four to each.
func (b *box) pendingFor(n int) []string {
	ids := make([]string, (n+3)/4)
	for from := 0; from < len(ids); from += 500 {
		b.Do(func(tx *store.Tx) error {
			for i := from; i < min(from+500, len(ids)); i++ {
				var to contact.Phone
				if err := to.UnmarshalText([]byte(numberOf(int64(i)))); err != nil {
					return err
				}
				v, err := otp.Start(tx, otp.StartRequest{Service: "patient-signup", To: to, Mode: contact.Shadow})
				if err != nil {
					return err
				}
				ids[i] = v.ID
			}
			return nil
		})
	}
	return ids
}

// BenchmarkCheck is a check of a wrong code over the native API, in process, 256 callers at once
// (goal: 10,000/s).
func BenchmarkCheck(b *testing.B) {
	box := benchBox(b)
	ids := box.pendingFor(b.N)
	var n atomic.Int64
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := ids[(n.Add(1)-1)/4]
			if code := box.post("/v1/verifications/"+id+"/check", "application/json", []byte(`{"code":"12345x"}`)); code != http.StatusOK {
				b.Errorf("status %d", code)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "checks/s")
}

// BenchmarkCheckOverTLS is a check in the Verify shape over TLS 1.3 on kept connections, with the load
// generator on the same cores (goal: 4,000/s).
func BenchmarkCheckOverTLS(b *testing.B) {
	box := benchBox(b)
	ids := box.pendingFor(b.N)
	server := httptest.NewTLSServer(box.handler)
	defer server.Close()
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	url := server.URL + box.path("patient-signup", "/VerificationCheck")
	auth := box.clients[access.Portal].basic()
	connect(b, client, server.URL+"/healthz", 256)
	var n atomic.Int64
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			body := "Code=12345x&VerificationSid=" + ids[(n.Add(1)-1)/4]
			r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader([]byte(body)))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Authorization", auth)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Errorf("status %d, %v", resp.StatusCode, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "checks/s")
}

// connect opens so many connections, so that the handshakes are not measured.
func connect(b *testing.B, client *http.Client, url string, n int) {
	var open, done sync.WaitGroup
	open.Add(n)
	for range n {
		done.Go(func() {
			resp, err := client.Get(url)
			open.Done()
			if err != nil {
				b.Error(err)
				return
			}
			open.Wait() // so that none is used twice
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
	done.Wait()
}
