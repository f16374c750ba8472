package mllp

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinward/hl7"
)

// TestMllpSend runs the client of python-hl7 against the server: it sends without a
// last CR, and takes for the answer whatever one recv gives (python-hl7#44).
func TestMllpSend(t *testing.T) {
	s := &Server{Handler: accept}
	_, port, _ := strings.Cut(start(t, s), ":")
	file := filepath.Join(t.TempDir(), "messages.hl7")
	for name, loose := range map[string]bool{"strict": false, "loose": true} {
		t.Run(name, func(t *testing.T) {
			var in []byte
			args := []string{"-p", port, "-f", file}
			for _, id := range []string{"A1", "A2", "A3"} {
				if loose {
					in = append(in, bytes.ReplaceAll(message(id), []byte("\r"), []byte("\n"))...)
				} else {
					in = AppendFrame(in, message(id))
				}
			}
			if loose {
				args = append(args, "--loose")
			}
			if err := os.WriteFile(file, in, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, "mllp_send", append(args, "127.0.0.1")...).CombinedOutput()
			if err != nil {
				t.Fatalf("mllp_send (Debian package python3-hl7): %v\n%s", err, out)
			}
			for _, id := range []string{"A1", "A2", "A3"} {
				if !bytes.Contains(out, []byte("MSA|AA|"+id+"\r"+"\x1c")) {
					t.Errorf("no whole acknowledgment of %s in %q", id, out)
				}
			}
		})
	}
	eventually(t, "six replies", func() bool { return s.Counts().Replies == 6 })
	if n := s.Counts(); n.Repairs != (Repairs{}) {
		t.Errorf("counts %+v", n)
	}
}

// TestTsharkReadsOurAcks has an independent dissector read a conversation, and a status that goes back.
func TestTsharkReadsOurAcks(t *testing.T) {
	dir := t.TempDir()
	var dump bytes.Buffer // text2pcap's own form: direction, offset, bytes
	for _, msg := range []string{
		string(message("T1")),
		"MSH|^~\\&|A|B|C|D|||ADT^A01|T2|P|2.3\rnot a segment",
		"MSH|^~\\&|A|B|C|D|||SIU^S12|T3|P|2.5.1\rnot a segment",
	} {
		reply, err := accept(context.Background(), hl7.Peer{}, []byte(msg))
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range [][]byte{AppendFrame(nil, []byte(msg)), AppendFrame(nil, reply)} {
			fmt.Fprintf(&dump, "%c\n000000 % x\n\n", "IO"[i], b)
		}
	}
	status := hl7.ORU(hl7.Status{ControlID: "T4", Order: hl7.Order{Placer: "REQ-1", Patient: hl7.CX{ID: "42"}}, Delivery: hl7.DeliveryDelivered, At: time.Now()})
	fmt.Fprintf(&dump, "O\n000000 % x\n\n", AppendFrame(nil, status))
	txt, pcap := filepath.Join(dir, "c.txt"), filepath.Join(dir, "c.pcap")
	if err := os.WriteFile(txt, dump.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("text2pcap", "-D", "-T", "40000,2575", txt, pcap).CombinedOutput(); err != nil {
		t.Fatalf("text2pcap (Debian package wireshark-common): %v\n%s", err, out)
	}
	out, err := exec.Command("tshark", "-r", pcap, "-Y", "hl7 and tcp.srcport == 2575", "-T", "fields",
		"-e", "hl7.message.type", "-e", "hl7.event.type", "-e", "hl7.malformed", "-e", "_ws.malformed").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	// Type, event, and nothing malformed; v2.3 has no event.
	if want := "ACK\tA04\t\t\nACK\t\t\t\nACK\tS12\t\t\nORU\tR01\t\t\n"; string(out) != want {
		t.Errorf("tshark reads %q, want %q", out, want)
	}
}
