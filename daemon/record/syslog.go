package record

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// The priorities of what we send: facility and severity, RFC 5424 section 6.2.1.
const (
	priorityHead  = 13*8 + 5 // log audit, notice
	priorityEvent = 10*8 + 5 // security/authorization, notice: DICOM PS3.15 A.6
)

// syslogHeader is HEADER and STRUCTURED-DATA of RFC 5424 section 6, with the space before MSG. An empty
// field is nil ("-"); host and id are cut to what section 6 allows.
func syslogHeader(priority int, at time.Time, host, process, id string) string {
	return fmt.Sprintf("<%d>1 %s %s pinward %s %s - ", priority, at.UTC().Format("2006-01-02T15:04:05.000000Z"),
		syslogField(host, 255), syslogField(process, 128), syslogField(id, 32))
}

// syslogField makes a header field of s: printable ASCII without spaces, or nil.
func syslogField(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

// writeFrame writes one message to a stream, framed by its length: octet counting, RFC 5425 section 4.3
// and RFC 6587 section 3.4.1.
func writeFrame(w io.Writer, message string) error {
	_, err := fmt.Fprintf(w, "%d %s", len(message), message)
	return err
}
