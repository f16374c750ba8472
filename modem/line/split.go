package line

import "bytes"

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
		if line := string(bytes.TrimSpace(raw)); line != "" {
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

// glued separates "ERROR+CNUM: ..." as some modems write it without a line end (reference 4).
func glued(line string) (first, rest string) {
	const e = "ERROR"
	if len(line) > len(e)+1 && line[:len(e)] == e && (line[len(e)] == '+' || line[len(e)] == '^') {
		return e, line[len(e):]
	}
	return line, ""
}
