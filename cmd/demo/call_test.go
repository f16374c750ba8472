package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pinward/modem/voice"
	"pinward/modem/voice/voicetest"
)

// ears know what the demo's hospital says, by language: what a script holds against a call is taken from its sound alone.
var ears = sync.OnceValues(func() (map[string]*voicetest.Ear, error) {
	packs, err := voice.Packs(os.DirFS("speech"))
	if err != nil {
		return nil, err
	}
	out := map[string]*voicetest.Ear{}
	for _, lang := range []string{"en", "es"} {
		if out[lang], err = voicetest.NewEar(packs[lang]); err != nil {
			return nil, err
		}
	}
	return out, nil
})

// call NUMBER N LANG WORD waits until N calls to the handset have ended and looks at what the last one said. WORD "code" is a call
// that said six digits twice, the same ones, and none before its "code"; they are put into $CODE. Any other WORD was said, and no
// digits before it but the hospital's number. "" is a call without sound.
//
// The demos of these scripts run with -jitter: a host that takes the processors away makes such calls longer and tears no word. That
// frames come in time, with holes for those that do not, is what the modem room's own tests and benchmarks are about.
func call(ts *testscript.TestScript, _ bool, args []string) {
	var list []struct{ WAV string }
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	eventually(ts, 3*time.Minute, "call", func() bool {
		return json.Unmarshal(get(ts.Getenv("HANDSETS")+"/handsets/"+url.PathEscape(args[0])+"/calls"), &list) == nil && len(list) >= n
	})
	if len(list) != n {
		ts.Fatalf("%d calls, want %d", len(list), n)
	}
	var words, codes []string
	if wav := get(list[n-1].WAV); len(wav) > 44 {
		all, err := ears()
		ts.Check(err)
		words = strings.Fields(voicetest.Said(all[args[2]].Hear(wav[44:])))
	}
	digits := func(w string) bool { return strings.Trim(w, "0123456789") == "" }
	said, own := slices.Index(words, args[3]), false
	for i, w := range words {
		switch w {
		case "call-us": // the hospital's own number follows, which each call tells
			own = true
		case "brand", "code", "again":
			own = false
		}
		if own {
			continue
		}
		if digits(w) && i < said {
			ts.Fatalf("digits before a key: %q", words)
		}
		if digits(w) {
			codes = append(codes, w)
		}
	}
	switch {
	case args[3] == "" && len(words) == 0:
	case args[3] != "code" && said >= 0 && len(codes) == 0:
	case args[3] == "code" && len(codes) == 2 && codes[0] == codes[1] && len(codes[0]) == 6:
		ts.Setenv("CODE", codes[0])
	default:
		ts.Fatalf("the call said %q", words)
	}
}

// get is the body of an answer, nil if there is none.
func get(where string) []byte {
	resp, err := http.Get(where)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil
	}
	return b
}
