package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// session is one connection on which the account that looks people up is logged in.
type session struct {
	*ldap.Conn
	c    *Client
	stop func() bool // ends the watch over the context
	raw  net.Conn
}

// ErrRefused means that the directory does not let the account in that looks people up. For everybody else it is ErrUnavailable.
var ErrRefused = fmt.Errorf("the account that looks people up was refused (%w)", ErrUnavailable)

// failed is ErrUnavailable with what was tried and why it failed: words of ours and of the Go library, none of the server's,
// which may say a name back.
func failed(what string, err error) error {
	return fmt.Errorf("%w: %s: %s", ErrUnavailable, what, reason(err))
}

// connect dials one server, puts TLS on the connection and logs User in. Until TLS stands nothing is sent but the wish for it.
func (c *Client) connect(ctx context.Context, srv Server) (*session, error) {
	conf, err := srv.TLS()
	if err != nil {
		return nil, failed("prepare TLS", err)
	}
	password, err := c.opts.Password()
	if err != nil {
		return nil, failed("read the password of the account that looks people up", err)
	}
	if !presentable(password) {
		return nil, fmt.Errorf("%w: the password of the account that looks people up is empty: a directory would take that for nobody in particular", ErrUnavailable)
	}
	conn, err := srv.Dial(ctx)
	if err != nil {
		return nil, failed("connect", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	secure, err := c.secure(ctx, conn, conf)
	if err != nil {
		stop()
		conn.Close()
		return nil, failed("begin TLS", err)
	}
	s := &session{Conn: ldap.NewConn(secure, true), c: c, stop: stop, raw: conn}
	s.SetTimeout(c.opts.Timeout)
	s.Start()
	if err := s.Bind(c.opts.User, password); err != nil {
		s.close()
		if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			return nil, fmt.Errorf("%w: %s", ErrRefused, causeOf(err).words)
		}
		return nil, failed("log in the account that looks people up", err)
	}
	return s, nil
}

// secure is the connection with TLS on it, by StartTLS where that is configured.
func (c *Client) secure(ctx context.Context, conn net.Conn, conf *tls.Config) (net.Conn, error) {
	counted := &limited{Conn: conn, left: maxBytes}
	if c.opts.StartTLS {
		if err := startTLS(counted); err != nil {
			return nil, err
		}
	}
	if conf.ServerName == "" || conf.InsecureSkipVerify {
		return nil, errors.New("the server's name must be checked")
	}
	secure := tls.Client(counted, conf)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secure, nil
}

// oidStartTLS is the request for TLS (RFC 4511 section 4.14.1).
const oidStartTLS = "1.3.6.1.4.1.1466.20037"

// errStripped: somebody between us and the server takes the wish for TLS away, or the server does not know it. There is no
// way on without.
var errStripped = errors.New("the server does not begin TLS, and nothing is sent without")

// startTLS asks for TLS. It reads the answer and not one byte more: what somebody slips in behind it must not count as said
// under TLS.
func startTLS(conn net.Conn) error {
	request := ber.NewSequence("LDAPMessage")
	request.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, int64(1), "messageID"))
	extended := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationExtendedRequest, nil, "ExtendedRequest")
	extended.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, oidStartTLS, "requestName"))
	request.AppendChild(extended)
	if _, err := conn.Write(request.Bytes()); err != nil {
		return err
	}
	answer, err := ber.ReadPacket(conn)
	if err != nil {
		return err
	}
	if len(answer.Children) < 2 || answer.Children[1].Tag != ldap.ApplicationExtendedResponse || answer.Children[0].Value != int64(1) || ldap.GetLDAPError(answer) != nil {
		return errStripped
	}
	return nil
}

func (s *session) close() {
	s.stop()
	s.raw.SetDeadline(time.Now().Add(time.Second)) // a server that reads nothing must not hold us up
	s.Conn.Close()
}

// limited is a connection that gives up after so many bytes were read.
type limited struct {
	net.Conn
	left int
}

var errTooMuch = errors.New("the server sends more than anybody asked for")

// Read implements net.Conn.
func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooMuch
	}
	n, err := l.Conn.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}

// reason is an error in words that hold nothing of the server's own.
func reason(err error) string {
	if e, ok := errors.AsType[*ldap.Error](err); ok && e.ResultCode < ldap.ErrorNetwork {
		return fmt.Sprintf("it answered %d, %s", e.ResultCode, ldap.LDAPResultCodeMap[e.ResultCode])
	}
	if _, ok := errors.AsType[*ldap.Error](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection ended before an answer"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not the one that was expected: " + err.Error()
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "no answer in time"
	}
	return err.Error()
}
