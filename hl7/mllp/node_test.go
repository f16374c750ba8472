package mllp

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pinward/hl7"
)

// TestNodeHL7Client runs the client of node-hl7, which writes no last CR and takes AE for an answer, on a plain
// port and as a peer of mutual TLS. packaging/test brings it, and says by PINWARD_NODE where it is: then it
// may not be missing.
func TestNodeHL7Client(t *testing.T) {
	modules := os.Getenv("PINWARD_NODE")
	if modules == "" {
		t.Skip("node-hl7-client is not here: packaging/test installs it")
	}
	if _, err := os.Stat(filepath.Join(modules, "node-hl7-client")); err != nil {
		t.Fatal(err)
	}
	handler := func(ctx context.Context, p hl7.Peer, frame []byte) ([]byte, error) {
		m, err := hl7.Parse(frame)
		if err != nil {
			return nil, err
		}
		o := hl7.AckOptions{Now: time.Now()}
		if code, _, _ := m.Type(); code == "SIU" {
			o.Err = &hl7.Error{Code: hl7.CodeSegmentSequence, Segment: "SCH", Seq: 1}
		}
		return hl7.Ack(m, o), nil
	}
	ours := newAuthority(t, "hospital")
	files, _ := ours.issue("pinward", nil)
	files.CA = ours.path("ca.pem")
	client, _ := ours.issue("engine", nil)
	for name, c := range map[string]struct {
		server *Server
		args   []string
	}{
		"plain": {&Server{Handler: handler}, nil},
		"tls":   {&Server{Handler: handler, TLS: loaded(t, files).Server()}, []string{files.CA, client.Certificate, client.Key}},
	} {
		t.Run(name, func(t *testing.T) {
			_, port, err := net.SplitHostPort(start(t, c.server))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			args := append([]string{"testdata/node-hl7-client.cjs", modules, port}, c.args...)
			out, err := exec.CommandContext(ctx, "node", args...).CombinedOutput()
			if want := "AA N1\nAA N2\nAA N3\nAE BAD\n"; err != nil || string(out) != want {
				t.Errorf("node-hl7-client got %q, %v", out, err)
			}
			if n := c.server.Counts(); n.Repairs != (Repairs{}) {
				t.Errorf("counts %+v", n)
			}
		})
	}
}
