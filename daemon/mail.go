package daemon

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// MailTarget is [mail]: the hospital's mail server, by which alarms leave. An attacker who controls it
// learns when the box is in trouble, and can keep people from being told; nothing of a patient is in a mail.
type MailTarget struct {
	// Relay is the server by its name on the relay's list.
	Relay string `toml:"relay"`
	// Security is starttls, tls or none; empty means starttls. none is for a server that has no TLS, and takes
	// no password along.
	Security string `toml:"security"`
	// TLS is the server's name in its certificate. CA is the PEM file of who signed it; empty means the system's.
	TLS string `toml:"tls"`
	CA  string `toml:"ca"`
	// From is the sender's address.
	From string `toml:"from"`
	// User and Password log in, where the server asks for it; Password names a systemd credential.
	User     string `toml:"user"`
	Password string `toml:"password"`
	// To are who is told when the box is closed and its policy cannot be read.
	To []string `toml:"to"`
}

// Security of the connection to a mail server.
const (
	mailSTARTTLS = "starttls" // RFC 3207
	mailTLS      = "tls"      // RFC 8314 section 3.3
	mailPlain    = "none"
)

func (m *MailTarget) check() error {
	switch {
	case m.Relay == "":
		return errors.New("relay must be set: the mail server's name on the relay's list")
	case m.security() != mailSTARTTLS && m.security() != mailTLS && m.security() != mailPlain:
		return fmt.Errorf("security: %q is none of starttls, tls, none", m.Security)
	case m.security() != mailPlain && m.TLS == "":
		return errors.New("tls must be set, the server's name in its certificate; security = \"none\" is for one without TLS")
	case m.security() == mailPlain && (m.TLS != "" || m.CA != "" || m.User != ""):
		return errors.New("security none goes without tls, ca and user: a password must not be read on the way")
	case m.CA != "" && !filepath.IsAbs(m.CA):
		return errors.New("ca must be an absolute path")
	case (m.User == "") != (m.Password == ""):
		return errors.New("user and password go together")
	case m.Password != filepath.Base(m.Password) && m.Password != "":
		return errors.New("password is the name of a credential, not a path")
	}
	for _, a := range append([]string{m.From}, m.To...) {
		if p, err := mail.ParseAddress(a); err != nil || p.Address != a {
			return errors.New("from and to must be addresses such as pinward@hospital.example")
		}
	}
	return nil
}

func (m *MailTarget) security() string { return cmp.Or(m.Security, mailSTARTTLS) }

// post is one mail.
type post struct {
	ID      string // of the Message-ID, the same at each try
	To      string
	Subject string
	Body    string // lines end with \n
	At      time.Time
}

// mailPatience bounds one mail, from the connection to the server's last word.
const mailPatience = 30 * time.Second

// send hands one mail to the server. final says that the server refused it for good (RFC 5321 section 4.2.1).
// The error holds no word of the server: it may say an address back.
func (m *MailTarget) send(ctx context.Context, out Dial, p post) (final bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, mailPatience)
	defer cancel()
	conf := peerTLS{Name: m.TLS, CA: m.CA}
	plain := conf
	if m.security() != mailTLS {
		plain.Name = ""
	}
	conn, err := dialTLS(out, m.Relay, plain)(ctx)
	if err != nil {
		return false, fmt.Errorf("reach mail server: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	if err := m.talk(conn, conf, p); err != nil {
		if e, ok := errors.AsType[*textproto.Error](err); ok {
			return e.Code >= 500, fmt.Errorf("mail server refused with %d", e.Code)
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return false, fmt.Errorf("talk to mail server: %w", err)
	}
	return false, nil
}

func (m *MailTarget) talk(conn net.Conn, conf peerTLS, p post) error {
	c, err := smtp.NewClient(conn, m.TLS)
	if err != nil {
		return err
	}
	host := hostname()
	if err := c.Hello(host); err != nil {
		return err
	}
	if m.security() == mailSTARTTLS {
		tlsConf, err := conf.config()
		if err != nil {
			return err
		}
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("the mail server does not offer STARTTLS")
		}
		if err := c.StartTLS(tlsConf); err != nil {
			return errTLS(err)
		}
	}
	if m.User != "" {
		password, err := credential(m.Password)(context.Background())
		if err != nil {
			return errors.New("the credential with the password cannot be read")
		}
		if err := c.Auth(smtp.PlainAuth("", m.User, password, m.TLS)); err != nil {
			return err
		}
	}
	if err := c.Mail(m.From); err != nil {
		return err
	}
	if err := c.Rcpt(p.To); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.compose(p, host)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the mail is the server's now, whatever it says to this
	return nil
}

// errTLS keeps a certificate's trouble in words, and nothing of the wire.
func errTLS(err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errors.New("its certificate is not the one that was expected")
	}
	return err
}

// compose is the mail as RFC 5322 has it. Auto-Submitted keeps out-of-office replies away (RFC 3834).
func (m *MailTarget) compose(p post, host string) []byte {
	var b strings.Builder
	line := func(k, v string) { b.WriteString(k + ": " + v + "\r\n") }
	line("Date", p.At.Format(time.RFC1123Z))
	line("From", "Pinward <"+m.From+">")
	line("To", "<"+p.To+">")
	line("Subject", mime.QEncoding.Encode("utf-8", p.Subject))
	line("Message-ID", "<"+p.ID+"."+host+"@pinward.invalid>")
	line("Auto-Submitted", "auto-generated")
	line("MIME-Version", "1.0")
	line("Content-Type", "text/plain; charset=utf-8")
	line("Content-Transfer-Encoding", "8bit")
	b.WriteString("\r\n")
	b.WriteString(strings.ReplaceAll(p.Body, "\n", "\r\n"))
	return []byte(b.String())
}

// hostname is what the machine calls itself.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsAny(name, " <>\r\n") {
		return "localhost"
	}
	return name
}
