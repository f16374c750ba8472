package daemon

import (
	"context"
	"io"
	"net"
	"testing"

	"pinward/hl7"
	"pinward/hl7/mllp"
)

// TestFrameDefectsAreFigures shows what a sender's frames needed, by address: in the log alone it is found by luck.
func TestFrameDefectsAreFigures(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := &mllp.Server{Name: "adt", Handler: func(context.Context, hl7.Peer, []byte) ([]byte, error) { return []byte("MSA"), nil }}
	served := make(chan error, 1)
	go func() { served <- port.Serve(t.Context(), ln) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("\n\x0b\x0bMSH\x1c\r")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, len("\x0bMSA\x1c\r"))); err != nil {
		t.Fatal(err)
	}
	if err := port.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	var s scrape
	(&box{ports: []*mllp.Server{port}}).watchMLLP(&s)
	got := map[string]float64{}
	for _, f := range s {
		got[f.Labels["listener"]+" "+f.Labels["address"]+" "+f.Labels["defect"]] = f.Value
	}
	if len(got) != 2 || got["adt 127.0.0.1 filler"] != 1 || got["adt 127.0.0.1 doubled_start"] != 1 {
		t.Errorf("figures %v", got)
	}
}
