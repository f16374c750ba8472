// Package directorytest starts a real LDAP server (slapd) with people and groups, for tests alone.
package directorytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// What every directory has.
const (
	Base         = "dc=hospital,dc=example"
	User         = "cn=pinward,ou=service,dc=hospital,dc=example" // looks people up; has read access
	UserPassword = "look people up"
	ServerName   = "ldap.hospital.example" // in the certificate
	Nurses       = "cn=nurses,ou=groups,dc=hospital,dc=example"
	Admins       = "cn=admins,ou=groups,dc=hospital,dc=example"
	Operators    = "cn=operators,ou=groups,dc=hospital,dc=example" // a posixGroup
	Password     = "their own password"                            // of every person
	root         = "cn=root,dc=hospital,dc=example"
	rootPassword = "root of the test"
)

// Server is a running slapd.
type Server struct {
	Dir        string
	Plain, TLS string // host:port of LDAP with StartTLS, and of LDAPS
	CA         string // PEM file
	cmd        *exec.Cmd
	stopped    chan error
}

// Start makes a directory in an empty folder and runs it on free ports of a loopback address.
func Start(dir, host string) (*Server, error) {
	s := &Server{Dir: dir, CA: filepath.Join(dir, "ca.pem")}
	for _, addr := range []*string{&s.Plain, &s.TLS} {
		l, err := net.Listen("tcp", host+":0")
		if err != nil {
			return nil, err
		}
		*addr = l.Addr().String()
		defer l.Close()
	}
	if err := errors.Join(
		Certificate(s.CA, filepath.Join(dir, "key.pem"), ServerName),
		os.Mkdir(filepath.Join(dir, "data"), 0o700),
		os.WriteFile(filepath.Join(dir, "slapd.conf"), []byte(strings.ReplaceAll(config, "DIR", dir)), 0o600),
		os.WriteFile(filepath.Join(dir, "people.ldif"), []byte(people), 0o600),
	); err != nil {
		return nil, err
	}
	if out, err := exec.Command("slapadd", "-f", filepath.Join(dir, "slapd.conf"), "-l", filepath.Join(dir, "people.ldif")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("slapadd: %w\n%s", err, out)
	}
	return s, nil
}

// Run starts slapd and waits until it listens.
func (s *Server) Run() error {
	log, err := os.OpenFile(filepath.Join(s.Dir, "slapd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command("slapd", "-f", filepath.Join(s.Dir, "slapd.conf"), "-h", "ldap://"+s.Plain+" ldaps://"+s.TLS, "-d", "0")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.stopped = make(chan error, 1)
	go func() { s.stopped <- s.cmd.Wait() }()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", s.TLS); err == nil {
			return c.Close()
		}
		select {
		case err := <-s.stopped:
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("slapd ended: %v\n%s", err, text)
		default:
		}
		if time.Now().After(end) {
			return errors.New("slapd does not listen")
		}
	}
}

// Stop ends slapd; its data stay, for another Run.
func (s *Server) Stop() error {
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.stopped
	s.cmd = nil
	return err
}

// Modify changes the directory by LDIF, as its administrator does.
func (s *Server) Modify(ldif string) error {
	cmd := exec.Command("ldapmodify", "-H", "ldaps://"+s.TLS, "-D", root, "-w", rootPassword)
	cmd.Env = append(os.Environ(), "LDAPTLS_REQCERT=never")
	cmd.Stdin = strings.NewReader(ldif)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ldapmodify: %w\n%s", err, out)
	}
	return nil
}

// Certificate makes a certificate that is its own authority.
func Certificate(cert, key, name string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600),
	)
}

// config is slapd.conf. A name without a password logs in as nobody, which slapd has to be told to allow: the trap is open.
const config = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
pidfile DIR/pid
TLSCertificateFile DIR/ca.pem
TLSCertificateKeyFile DIR/key.pem
TLSCACertificateFile DIR/ca.pem
TLSVerifyClient never
allow bind_anon_cred bind_anon_dn
security simple_bind=128
database mdb
directory DIR/data
suffix "dc=hospital,dc=example"
rootdn "cn=root,dc=hospital,dc=example"
rootpw "root of the test"
overlay ppolicy
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=pinward,ou=service,dc=hospital,dc=example" read by anonymous auth by * none
`

// people is the directory. Jane's DN has every character that a DN or a filter has to escape.
const people = `dn: dc=hospital,dc=example
objectClass: domain
dc: hospital

dn: ou=people,dc=hospital,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=service,dc=hospital,dc=example
objectClass: organizationalUnit
ou: service

dn: ou=groups,dc=hospital,dc=example
objectClass: organizationalUnit
ou: groups

dn: cn=pinward,ou=service,dc=hospital,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: pinward
userPassword: look people up

dn: cn=Doe\, Jane \\(RN\\) *\+\\,ou=people,dc=hospital,dc=example
objectClass: inetOrgPerson
cn: Doe, Jane \(RN\) *+\
sn: Doe
uid: jdoe
displayName: Jane Doe
userPassword: their own password

dn: uid=mallory,ou=people,dc=hospital,dc=example
objectClass: inetOrgPerson
cn: Mallory
sn: Mallory
uid: mallory
userPassword: their own password

dn: uid=omar,ou=people,dc=hospital,dc=example
objectClass: inetOrgPerson
cn: Omar
sn: Omar
uid: omar
userPassword: their own password

dn: uid=ann,ou=people,dc=hospital,dc=example
objectClass: inetOrgPerson
cn: Ann
sn: Ann
uid: ann
userPassword: their own password

dn: uid=admin,ou=people,dc=hospital,dc=example
objectClass: inetOrgPerson
cn: Admin of the directory
sn: Admin
uid: admin
userPassword: their own password

dn: uid=twin1,ou=people,dc=hospital,dc=example
objectClass: inetOrgPerson
cn: Twin
sn: Twin
uid: twin1
uid: twin
userPassword: their own password

dn: uid=same,ou=people,dc=hospital,dc=example
objectClass: inetOrgPerson
cn: Same
sn: Same
uid: same
userPassword: their own password

dn: uid=same,ou=service,dc=hospital,dc=example
objectClass: inetOrgPerson
cn: Same
sn: Same
uid: same
userPassword: their own password

dn: cn=nurses,ou=groups,dc=hospital,dc=example
objectClass: groupOfNames
cn: nurses
member: cn=Doe\, Jane \\(RN\\) *\+\\,ou=people,dc=hospital,dc=example
member: uid=omar,ou=people,dc=hospital,dc=example

dn: cn=admins,ou=groups,dc=hospital,dc=example
objectClass: groupOfUniqueNames
cn: admins
uniqueMember: uid=ann,ou=people,dc=hospital,dc=example
uniqueMember: uid=admin,ou=people,dc=hospital,dc=example

dn: cn=operators,ou=groups,dc=hospital,dc=example
objectClass: posixGroup
cn: operators
gidNumber: 4711
memberUid: omar
`
