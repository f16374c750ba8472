package daemon

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"strings"
	"sync"
	"time"
)

const (
	ticketLife  = 15 * time.Minute // of a code that nobody used yet, and of a session that nobody uses
	ticketTries = 5                // wrong codes before the right one is good for nothing
)

// ticket lets one browser through to set-up and unsealing: who may open the control socket has a code
// shown, types it into the page once, and that browser then has a session. Both live in memory only.
type ticket struct {
	mu      sync.Mutex
	code    string // "" when there is none
	tries   int
	session string // "" when there is none
	until   time.Time
}

// issue makes a new code and ends what there was before: one page, one person.
func (t *ticket) issue() (code string, until time.Time) {
	var b [10]byte
	rand.Read(b[:])
	code = base32.StdEncoding.EncodeToString(b[:]) // 80 bits, 16 characters
	t.mu.Lock()
	defer t.mu.Unlock()
	t.code, t.tries, t.session, t.until = code, 0, "", time.Now().Add(ticketLife)
	return code[:4] + "-" + code[4:8] + "-" + code[8:12] + "-" + code[12:], t.until
}

// redeem takes the code, once, for a session.
func (t *ticket) redeem(typed string) (session string, ok bool) {
	typed = strings.NewReplacer("-", "", " ", "", "0", "O", "1", "I", "8", "B").Replace(strings.ToUpper(strings.TrimSpace(typed)))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.code == "" || time.Now().After(t.until) {
		return "", false
	}
	if subtle.ConstantTimeCompare([]byte(typed), []byte(t.code)) != 1 {
		if t.tries++; t.tries >= ticketTries {
			t.code = ""
		}
		return "", false
	}
	t.code, t.session, t.until = "", rand.Text(), time.Now().Add(ticketLife)
	return t.session, true
}

// holds tells whether this is the session, and lets it live on.
func (t *ticket) holds(session string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.session == "" || time.Now().After(t.until) || subtle.ConstantTimeCompare([]byte(session), []byte(t.session)) != 1 {
		return false
	}
	t.until = time.Now().Add(ticketLife)
	return true
}

// end closes the session.
func (t *ticket) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.code, t.session = "", ""
}
