package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

func TestInfo(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	info, err := c.open().Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.Manufacturer != "IBM" || info.Model == "" || strings.Count(info.Firmware, ".") != 3 || !strings.HasPrefix(info.Revision, "1.") {
		t.Errorf("%+v", info)
	}
	if info.MaxTries == 0 || info.LockoutInterval == 0 || info.InLockout || info.LockoutCounter != 0 || info.OwnerAuthSet || info.LockoutAuthSet {
		t.Errorf("%+v", info)
	}
	c.restart()
	again, err := c.open().Info(ctx)
	if err != nil || again.ResetCount != info.ResetCount+1 || again.Clock < info.Clock && again.ClockSafe {
		t.Errorf("after a restart: %+v, was %+v, %v", again, info, err)
	}
}

// A certificate larger than what one command reads, with a maker's padding behind it.
func TestEndorsementCertificates(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	if certs, err := d.EndorsementCertificates(ctx); err != nil || len(certs) != 0 {
		t.Fatalf("%d certificates in a swtpm without, %v", len(certs), err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: strings.Repeat("maker", 130)},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil || len(cert) < 1500 {
		t.Fatalf("%d bytes, %v", len(cert), err)
	}
	define := func(index uint32, data []byte) {
		public := nvPublic(index, tpm2.TPMNTOrdinary, false)
		public.DataSize = uint16(len(data))
		owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: emptyAuth}
		run(t, d, func(s *sequence) (struct{}, error) {
			var none struct{}
			if _, err := (tpm2.NVDefineSpace{AuthHandle: owner, PublicInfo: tpm2.New2B(public)}).Execute(s); err != nil {
				return none, err
			}
			for at := 0; at < len(data); at += 512 {
				there, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(s)
				if err != nil {
					return none, err
				}
				x := nvIndex{handle: tpm2.TPMHandle(index), name: there.NVName}
				_, err = tpm2.NVWrite{
					AuthHandle: x.auth(emptyAuth), NVIndex: x.named(), Offset: uint16(at),
					Data: tpm2.TPM2BMaxNVBuffer{Buffer: data[at:min(at+512, len(data))]},
				}.Execute(s)
				if err != nil {
					return none, err
				}
			}
			return none, nil
		})
	}
	define(ekIndices[1], append(bytes.Clone(cert), bytes.Repeat([]byte{0xff}, 100)...))
	certs, err := d.EndorsementCertificates(ctx)
	if err != nil || len(certs) != 1 || !bytes.Equal(certs[0], cert) {
		t.Fatalf("%d certificates, %v", len(certs), err)
	}
	define(ekIndices[0], []byte("this is no certificate"))
	if certs, err = d.EndorsementCertificates(ctx); err != nil || len(certs) != 1 {
		t.Fatalf("with garbage beside it: %d certificates, %v", len(certs), err)
	}
	wantEmpty(t, d)
}

func TestTrimCertificate(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty": nil, "short": {0x30, 0x82}, "other tag": {0x31, 0x82, 0, 0}, "longer than there is": {0x30, 0x82, 0xff, 0xff, 0},
	} {
		if got := trimCertificate(data); got != nil {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
}
