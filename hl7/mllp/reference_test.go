package mllp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// traps are the points of reference/hl7.md that a connection raises, and the test that holds each.
var traps = map[string]string{
	"1.1 ACKs out of order when pipelined (HAPI)":                                         "TestPipelinedInOrder",
	"1.1 partial bytes discarded at a timeout (HAPI)":                                     "TestInFrameLimit",
	"1.1 no limit to a frame":                                                             "TestTooLargeIsRefused",
	"1.1 no cap on connections":                                                           "TestAllowAndCaps",
	"1.2 no late ACK (connect#1441, connect#2070)":                                        "TestLateReplyIsNotSent",
	"1.2 one write for each ACK (python-hl7#44)":                                          "TestOneWritePerAck",
	"1.2 a reader takes any split (elixir-mllp#62)":                                       "TestSplitPackets",
	"1.2 LF or NUL between frames, log text, doubled VT and FS (connect#510, #423, #830)": "TestFrames",
	"1.2 CR FF and FS LF for an end (connect#3170)":                                       "TestFormFeedEnd",
	"1.2 CR FF where the sender then waits":                                               "TestPauseEndsFrame",
	"1.2 FS inside data is data (connect#1309)":                                           "TestFrames",
	"1.2 repairs are counted for each peer and logged":                                    "TestRepairsAreCountedAndLogged",
	"1.2 a half-closed socket spins nothing (connect#1990)":                               "TestHalfClose",
	"1.2 on shutdown what was read is answered (connect#1889)":                            "TestShutdownAnswersWhatWasRead",
	"1.2 a health check is no error (mllp-http#4)":                                        "TestHealthCheck",
	"1.2 idle apart from in-frame":                                                        "TestIdleIsForever",
	"1.2 an idle limit where one is set":                                                  "TestIdleLimit",
	"1.2 hostile clients: memory":                                                         "TestMemoryIsBounded",
	"1.2 hostile clients: stalls":                                                         "TestFlood",
	"1.2 hostile clients: who does not read":                                              "TestPeerThatDoesNotRead",
	"1.2 a parser that panics ends one message":                                           "TestPanicCloses",
	"2.5 as client: MSA-2 matches, CA then AA, retry with the same MSH-10":                "TestClient",
	"2.5 as client: a timeout dials anew":                                                 "TestClientTimeoutRedials",
	"3.1 mutual TLS by authority and by direct comparison (ITI-19)":                       "TestMutualTLS",
	"3.1 the offers of an old engine are told":                                            "TestOldTLSIsTold",
	"3.1 TLS on the plain port":                                                           "TestAlienProtocols",
	"3.1 a client without certificate finds out late":                                     "TestTLS",
	"1.2 a close of what is idle loses nothing (connect#1889, connect#3274), as client":   "TestClientSeesThatAnIdleConnectionWasClosed",
	"5 node-hl7-client":                                                                   "TestNodeHL7Client",
	"5 mllp_send":                                                                         "TestMllpSend",
	"5 tshark reads our ACKs":                                                             "TestTsharkReadsOurAcks",
	"5 socat as a mutual TLS peer":                                                        "TestSocat",
}

// TestEveryTrapHasItsTest keeps the table true: the tests that it names exist.
func TestEveryTrapHasItsTest(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	for trap, test := range traps {
		if !strings.Contains(source.String(), "\nfunc "+test+"(") {
			t.Errorf("%s: no %s", trap, test)
		}
	}
}
