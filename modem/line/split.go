package line

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line that is kept; a real answer has at most about 400 bytes, a diagnostic port babbles without end. It
// is far under the 64 KiB at which at's scanner stops for good (defect 18).
const maxLine = 4096

// splitter cuts what a modem sends into lines, whatever it ends them with (defect 15): any run of CR and LF is one end.
type splitter struct {
	buf     []byte
	skip    bool // the current line is too long: drop bytes until its end
	dropped int  // lines too long, counted
	control int  // control bytes dropped: NULs after power-on
}

// next takes the first line out of the buffer. prompt says whether a '>' that starts a line is one, which has no line end
// (27.005, 3.5.1); line is then ">".
func (s *splitter) next(prompt bool) (line string, ok bool) {
	for {
		s.buf = bytes.TrimLeft(s.buf, "\r\n")
		if len(s.buf) == 0 {
			s.buf = nil
			return "", false
		}
		if prompt && s.buf[0] == '>' && !s.skip {
			s.buf = bytes.TrimLeft(s.buf[1:], " ")
			return ">", true
		}
		end := bytes.IndexAny(s.buf, "\r\n")
		if end < 0 {
			if len(s.buf) > maxLine {
				if !s.skip {
					s.dropped++
				}
				s.skip, s.buf = true, nil
			}
			return "", false
		}
		raw := s.buf[:end]
		s.buf = s.buf[end:]
		if s.skip {
			s.skip = false
			continue
		}
		if len(raw) > maxLine {
			s.dropped++
			continue
		}
		if line := string(bytes.TrimSpace(s.clean(raw))); line != "" {
			return line, true
		}
	}
}

// add appends what was read. Control bytes other than CR, LF, tab and the Ctrl-Z of an echoed PDU are noise; they are dropped
// before they can hide a result code, as the NULs do that some modems send at power-on.
func (s *splitter) add(b []byte) {
	for _, c := range b {
		if c < 0x20 && c != '\r' && c != '\n' && c != '\t' && c != 0x1a || c == 0x7f {
			s.control++
			continue
		}
		s.buf = append(s.buf, c)
	}
}

// clean cuts bytes that are no character off the front: what a modem spits out at power-on sticks to the first answer.
func (s *splitter) clean(raw []byte) []byte {
	for len(raw) > 0 {
		if r, size := utf8.DecodeRune(raw); r != utf8.RuneError || size != 1 {
			break
		}
		raw = raw[1:]
		s.control++
	}
	return raw
}

// glued separates what some modems write without a line end between: "ERROR+CNUM: ..." (reference 4), and a final OK right behind
// an answer that can be told from it: a number, a quote, a PDU or READY.
func glued(line string) (first, rest string) {
	const e, ok = "ERROR", "OK"
	if len(line) > len(e)+1 && line[:len(e)] == e && (line[len(e)] == '+' || line[len(e)] == '^') {
		return e, line[len(e):]
	}
	if head, found := strings.CutSuffix(line, ok); found && head != "" {
		last := head[len(head)-1]
		if last >= '0' && last <= '9' || last == '"' || strings.HasSuffix(head, "READY") || hexLine(head) {
			return head, ok
		}
	}
	return line, ""
}
