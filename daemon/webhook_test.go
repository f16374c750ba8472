package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testServerFiles are a certificate of a name, its key, and who signed it: itself.
func testServerFiles(t *testing.T, name string) (ca, cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Now().Add(time.Hour), // bubbles are in 2000
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, cert, key
}

// webhookServer answers over TLS as the name "pager.test".
func webhookServer(t *testing.T, h http.HandlerFunc) (address, ca string) {
	t.Helper()
	ca, cert, key := testServerFiles(t, "pager.test")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), ca
}

// A request is signed as Standard Webhooks has it, whichever form the secret has, and names itself the same
// at each try.
func TestWebhookIsSigned(t *testing.T) {
	for name, secret := range map[string]string{"coded": "whsec_" + base64.StdEncoding.EncodeToString([]byte("key of the pager")), "plain": "key of the pager"} {
		t.Run(name, func(t *testing.T) {
			setCredential(t, "pager", secret+"\n")
			var got *http.Request
			var body []byte
			at, ca := webhookServer(t, func(w http.ResponseWriter, r *http.Request) {
				got, body = r, nil
				body, _ = io.ReadAll(r.Body)
				w.WriteHeader(http.StatusAccepted)
			})
			w := WebhookTarget{Name: "pager", Relay: "pager", URL: "https://pager.test/hooks/pinward?team=it", CA: ca, Secret: "pager"}
			if err := w.check(); err != nil {
				t.Fatal(err)
			}
			if _, err := w.post(t.Context(), straight(at), "box-1-raised-7", []byte(`{"type":"alarm.raised"}`)); err != nil {
				t.Fatal(err)
			}
			stamp := got.Header.Get("webhook-timestamp")
			if n, err := strconv.ParseInt(stamp, 10, 64); err != nil || time.Since(time.Unix(n, 0)).Abs() > time.Minute {
				t.Errorf("the timestamp is %q", stamp)
			}
			mac := hmac.New(sha256.New, []byte("key of the pager"))
			mac.Write([]byte("box-1-raised-7." + stamp + `.{"type":"alarm.raised"}`))
			if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.Header.Get("webhook-signature") != want {
				t.Errorf("signed %q, want %q", got.Header.Get("webhook-signature"), want)
			}
			if got.Header.Get("webhook-id") != "box-1-raised-7" || got.URL.Path != "/hooks/pinward" || got.Host != "pager.test" || string(body) != `{"type":"alarm.raised"}` {
				t.Errorf("got %s %s %q", got.Host, got.URL, body)
			}
		})
	}
}

// What a server answers says whether another try makes sense; a redirect is not followed.
func TestWebhookAnswers(t *testing.T) {
	status := 0
	at, ca := webhookServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://elsewhere.test/")
		w.WriteHeader(status)
	})
	w := WebhookTarget{Name: "pager", Relay: "pager", URL: "https://pager.test/key-in-the-path", CA: ca}
	for s, final := range map[int]bool{500: false, 503: false, 429: false, 408: false, 400: true, 401: true, 404: true, 302: true} {
		status = s
		got, err := w.post(t.Context(), straight(at), "x", nil)
		if err == nil || got != final || !strings.Contains(err.Error(), strconv.Itoa(s)) || strings.Contains(err.Error(), "key-in-the-path") {
			t.Errorf("%d: final %v, %v", s, got, err)
		}
	}
	for name, broken := range map[string]WebhookTarget{
		"another name":  {Relay: "pager", URL: "https://other.test/key-in-the-path", CA: ca},
		"unknown CA":    {Relay: "pager", URL: "https://pager.test/key-in-the-path"},
		"no credential": {Relay: "pager", URL: "https://pager.test/key-in-the-path", CA: ca, Secret: "gone"},
	} {
		if final, err := broken.post(t.Context(), straight(at), "x", nil); err == nil || final || strings.Contains(err.Error(), "key-in-the-path") {
			t.Errorf("%s: final %v, %v", name, final, err)
		}
	}
}

// A configuration that cannot work is refused at the start.
func TestOutletsAreChecked(t *testing.T) {
	for want, w := range map[string]WebhookTarget{
		"name must":   {Relay: "r", URL: "https://x/"},
		"relay must":  {Name: "a", URL: "https://x/"},
		"url must":    {Name: "a", Relay: "r", URL: "http://x/"},
		"ca must":     {Name: "a", Relay: "r", URL: "https://x/", CA: "ca.pem"},
		"go together": {Name: "a", Relay: "r", URL: "https://x/", Key: "/k"},
		"secret is":   {Name: "a", Relay: "r", URL: "https://x/", Secret: "/etc/secret"},
	} {
		if err := w.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	for want, m := range map[string]MailTarget{
		"relay must":        {},
		"security:":         {Relay: "r", Security: "ssl"},
		"tls must":          {Relay: "r", From: "a@b.example"},
		"none goes without": {Relay: "r", Security: "none", User: "u", Password: "p", From: "a@b.example"},
		"go together":       {Relay: "r", TLS: "x", User: "u", From: "a@b.example"},
		"credential":        {Relay: "r", TLS: "x", User: "u", Password: "/p", From: "a@b.example"},
		"addresses":         {Relay: "r", TLS: "x", From: "a@b.example", To: []string{"IT <it@b.example>"}},
	} {
		if err := m.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
