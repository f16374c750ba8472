package hl7

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// traps are the points of reference/hl7.md sections 1 and 2.1 that a message's text raises, and the
// test that holds each. The frames' own are in mllp.
var traps = map[string]string{
	"1.1 no validation that is not needed; PID-13(0) is no US phone number (HAPI)": "TestPhone",
	"1.2 ACK below 4096 bytes (python-hl7#44)":                                     "TestAckIsSmallAndUnique",
	"1.2 last segment without CR (mllp_send, simhospital)":                         "TestSegmentSeparators",
	"1.2 LF-only senders; literal LF in fields (connect#53, deoxxa/hl7#3)":         "TestSegmentSeparators",
	"1.2 raw CR in a field earns AE 100 (connect#1275)":                            "TestParseErrors",
	"1.2 MSH-2 variants (MIRTH-1544)":                                              "TestEncodingCharacters",
	"1.2 ACK fields; MSH-10 of an ACK is unique; ERR by version":                   "TestAck",
	"1.2 short text in MSA-3 too, of whole words (Mirth reads only that)":          "TestAckTextEndsWithAWord",
	"1.2 never acknowledge an ACK, by MSH-9 and not by MSA (hl7v2-net)":            "TestNeverAcknowledgeAnAck",
	"1.2 AE or AR": "TestErrorText",
	"1.2 no field value in MSA-3, ERR-7, ERR-8":      "TestAckRepeatsNoContent",
	"1.2 duplicates: payload without MSH-7":          "TestFingerprint",
	"1.2 a batch in a frame is refused":              "TestParseErrors",
	"1.2 escapes decode once, never fail":            "TestEscapes",
	"1.2 charset: BOM, MSH-18, default, 1252":        "TestCharsets",
	"1.2 caps on segments, fields, repetitions":      "TestParseErrors",
	"1.2 up to 16 MiB by configuration":              "TestLargerPayloadByOption",
	"1.2 parsers crash on valid messages":            "FuzzParse",
	"1.2 the corpus, whole":                          "TestCorpus",
	"1.2 FS CR in an echoed field ends no frame":     "TestAckCannotBreakTheFrame",
	"1.2 the control id comes back byte for byte":    "TestAckKeepsBytes",
	"2 MSH-9.3 is never required":                    "TestHeader",
	"2.1 which number, which class":                  "TestPhone",
	"2.1 null deletes, empty leaves":                 "TestPresence",
	"2.2 start: TQ1-7, SCH-11.4, AIS, AIL, AIG, AIP": "TestScheduledStart",
	"2.2 length: SCH-9/10 in s, m, Min":              "TestScheduledLength",
	"2.2 times with and without zone":                "TestTime",
	"6 a lazy parser, no allocation for a segment":   "TestAllocations",
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
