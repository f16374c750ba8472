package directory

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"pinward/daemon/directory/directorytest"
)

// fake is a server that answers what a test wants: as Active Directory does, or as no honest server would.
type fake struct {
	t    *testing.T
	opts Options
	// bind and search answer a request; nil is success, and no entry.
	bind   func(dn, password string) (code int64, text string)
	search func(base, filter string) (entries []entry, code int64)
	raw    func(net.Conn) // instead of LDAP, once TLS stands

	// dialled carries what a connection is answered by, as it is when it is dialled: a test may change it between two.
	dialled chan answers

	mu    sync.Mutex
	binds []string // DNs
}

// answers are those of one connection.
type answers struct {
	bind   func(dn, password string) (code int64, text string)
	search func(base, filter string) (entries []entry, code int64)
	raw    func(net.Conn)
}

// loggedIn are the DNs that were logged in, or tried to.
func (f *fake) loggedIn() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.binds)
}

// entry is one that a search finds; with only dn = "ref" it is a reference to another server.
type entry struct {
	dn         string
	attributes map[string]string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	dir := t.TempDir()
	ca, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "key.pem")
	if err := directorytest.Certificate(ca, key, directorytest.ServerName); err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(ca, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, dialled: make(chan answers, 64)}
	dial := at(l.Addr().String())
	f.opts = Options{
		Servers: []Server{{Name: "dc1", Dial: func(ctx context.Context) (net.Conn, error) {
			f.dialled <- answers{f.bind, f.search, f.raw}
			return dial(ctx)
		}, TLS: trust(t, ca, directorytest.ServerName)}},
		Kind: AD, Base: "DC=hospital,DC=example", User: "pinward@hospital.example", Password: password("service"), Timeout: 5 * time.Second,
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(20 * time.Second))
				by := <-f.dialled
				if by.raw != nil {
					by.raw(c)
					return
				}
				f.serve(c, by)
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return f
}

func (f *fake) serve(c net.Conn, by answers) {
	for {
		p, err := ber.ReadPacket(c)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, op := p.Children[0].Value.(int64), p.Children[1]
		switch op.Tag {
		case ldap.ApplicationBindRequest:
			dn, password := op.Children[1].Value.(string), op.Children[2].Data.String()
			f.mu.Lock()
			f.binds = append(f.binds, dn)
			f.mu.Unlock()
			code, text := int64(0), ""
			if by.bind != nil {
				code, text = by.bind(dn, password)
			}
			if code < 0 {
				return // closes in the middle
			}
			f.answer(c, id, ldap.ApplicationBindResponse, code, text)
		case ldap.ApplicationSearchRequest:
			filter, err := ldap.DecompileFilter(op.Children[6])
			if err != nil {
				f.t.Errorf("filter: %v", err)
			}
			base := op.Children[0].Value.(string)
			var found []entry
			code := int64(0)
			if by.search != nil {
				found, code = by.search(base, filter)
			}
			for _, e := range found {
				f.entry(c, id, e)
			}
			f.answer(c, id, ldap.ApplicationSearchResultDone, code, "")
		default:
			return
		}
	}
}

func message(id int64, op *ber.Packet) []byte {
	m := ber.NewSequence("")
	m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	m.AppendChild(op)
	return m.Bytes()
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func (f *fake) answer(w io.Writer, id int64, tag ber.Tag, code int64, diagnostic string) {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	op.AppendChild(text(""))
	op.AppendChild(text(diagnostic))
	_, _ = w.Write(message(id, op)) // who is gone is not told
}

func (f *fake) entry(w io.Writer, id int64, e entry) {
	if e.attributes == nil && strings.HasPrefix(e.dn, "ldap") {
		ref := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
		ref.AppendChild(text(e.dn))
		_, _ = w.Write(message(id, ref))
		return
	}
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(text(e.dn))
	list := ber.NewSequence("")
	for name, value := range e.attributes {
		one := ber.NewSequence("")
		one.AppendChild(text(name))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		set.AppendChild(text(value))
		one.AppendChild(set)
		list.AppendChild(one)
	}
	op.AppendChild(list)
	_, _ = w.Write(message(id, op))
}

// sid is S-1-5-21-1-2-3-rid as Active Directory keeps it.
func sid(rid byte) string {
	return string([]byte{1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, rid, 2, 0, 0})
}

// jane is a person as Active Directory has her, with a GUID that holds every byte that a filter has to escape.
func jane(change map[string]string) entry {
	e := entry{`CN=Doe\, Jane (RN) *,OU=People,DC=hospital,DC=example`, map[string]string{
		"sAMAccountName": "JDoe", "objectGUID": "\x00(*)\\\xff\x01guid-of-ja", "displayName": "Jane Doe",
		"userAccountControl": "512", "accountExpires": "9223372036854775807", "primaryGroupID": "513", "objectSid": sid(0x50),
	}}
	for k, v := range change {
		e.attributes[k] = v
	}
	return e
}

// domain answers as a domain controller: Jane by name or id, her groups by chain, her primary group by SID.
func domain(who entry, chains map[string][]string) func(base, filter string) ([]entry, int64) {
	references := []entry{{dn: "ldap://ForestDnsZones.hospital.example/DC=ForestDnsZones,DC=hospital,DC=example"}}
	return func(base, filter string) ([]entry, int64) {
		switch {
		case strings.HasPrefix(base, "<SID="):
			if base != fmt.Sprintf("<SID=%x>", sid(1)) { // 513
				return nil, int64(ldap.LDAPResultNoSuchObject)
			}
			return []entry{{"CN=Domain Users,CN=Users,DC=hospital,DC=example", map[string]string{}}}, 0
		case strings.Contains(filter, "1.2.840.113556.1.4.1941"):
			for _, group := range chains[base] {
				if strings.Contains(filter, ":="+ldap.EscapeFilter(group)+")") {
					return []entry{{base, map[string]string{}}}, 0
				}
			}
			return nil, 0
		}
		name, id := who.attributes["sAMAccountName"], escapeBytes([]byte(who.attributes["objectGUID"]))
		if p, err := ldap.CompileFilter("(objectGUID=" + id + ")"); err == nil {
			id, _ = ldap.DecompileFilter(p)
		}
		if strings.Contains(strings.ToLower(filter), "(samaccountname="+strings.ToLower(name)+")") || strings.Contains(filter, id) {
			return append([]entry{who}, references...), 0
		}
		return references, 0
	}
}
