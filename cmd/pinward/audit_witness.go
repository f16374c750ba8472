package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	"pinward/store/audit"
)

// puller fetches heads from a box, for a witness on another one.
type puller struct {
	url, file, token, ca, signer string
}

// auditWitness is what a second box runs from its timer: it fetches the latest head, checks that it
// only appends to the last one that it kept, and keeps it. It exits as monitoring plugins do.
func (c *client) auditWitness() *cobra.Command {
	var p puller
	cmd := &cobra.Command{
		Use: "witness URL", Short: "Keep another box's signed heads here; exit 0, 2 for a second history, 3 when it cannot be asked", Args: cobra.ExactArgs(1),
		Example: "  PINWARD_TOKEN=... pinward audit witness https://pinward-1:8443 --file heads.txt --signer FINGERPRINT",
		RunE: func(cmd *cobra.Command, args []string) error {
			p.url, p.token = strings.TrimRight(args[0], "/"), os.Getenv("PINWARD_TOKEN")
			size, err := p.pull(cmd.Context())
			var asked unasked
			switch {
			case errors.As(err, &asked):
				fmt.Println("WITNESS UNKNOWN:", asked.error)
				return exit(pluginUnknown)
			case err != nil:
				fmt.Println("WITNESS CRITICAL:", err)
				return exit(pluginCritical)
			}
			fmt.Printf("WITNESS OK: one history of %d entries | entries=%dc\n", size, size)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.file, "file", "", "where the heads are kept, one a line")
	f.StringVar(&p.ca, "ca", "", "PEM `FILE` of who signed the box's certificate (default: the system's)")
	f.StringVar(&p.signer, "signer", "", "fingerprint of the box's signer, from its sheet")
	for _, name := range []string{"file", "signer"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag was made some lines above
		}
	}
	return cmd
}

// unasked is an error that says nothing about the log: the box could not be asked, or the file not
// written.
type unasked struct{ error }

// pull fetches, checks and keeps the latest head, and tells the box so by asking again.
func (p *puller) pull(ctx context.Context) (size uint64, err error) {
	f, err := os.OpenFile(p.file, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return 0, unasked{err}
	}
	defer f.Close()
	old, _, _, err := audit.LastHead(f)
	if err != nil {
		return 0, unasked{err}
	}
	note, now, err := p.ask(ctx, old)
	if err != nil || now.Size == 0 {
		return now.Size, err
	}
	line, err := audit.HeadLine(note)
	if err != nil {
		return 0, err
	}
	if err := audit.AppendHead(f, line); errors.Is(err, audit.ErrOtherHistory) {
		return 0, err
	} else if err != nil {
		return 0, unasked{err}
	}
	_, _, err = p.ask(ctx, now)
	return now.Size, err
}

// ask fetches the latest head and checks that it appends to old.
func (p *puller) ask(ctx context.Context, old audit.Head) (note []byte, now audit.Head, err error) {
	var a struct {
		Note, Signer string
		Proof        []string
		Detail       string
		Field        string
	}
	status, err := p.get(ctx, "/v1/audit/head?from="+strconv.FormatUint(old.Size, 10), &a)
	switch {
	case err != nil:
		return nil, now, unasked{err}
	case status == http.StatusBadRequest && a.Field == "from":
		return nil, now, fmt.Errorf("%w: %s", audit.ErrOtherHistory, a.Detail)
	case status != http.StatusOK:
		return nil, now, unasked{fmt.Errorf("the box answers %d: %s", status, a.Detail)}
	case a.Note == "":
		return nil, now, nil
	}
	spki, err := base64.StdEncoding.DecodeString(a.Signer)
	if err != nil {
		return nil, now, errors.New("the box gives no key")
	}
	key, err := audit.ParseKey(spki)
	if err != nil {
		return nil, now, err
	}
	if by := audit.Fingerprint(key); by != strings.ToLower(p.signer) {
		return nil, now, fmt.Errorf("the heads are signed by %s, and not by the signer given", by)
	}
	if now, err = audit.VerifyNote([]byte(a.Note), key); err != nil {
		return nil, now, err
	}
	var proof []tlog.Hash
	for _, s := range a.Proof {
		h, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(h) != tlog.HashSize {
			return nil, now, errors.New("the proof is none")
		}
		proof = append(proof, tlog.Hash(h))
	}
	if old.Size == 0 {
		old.Origin = now.Origin
	}
	return []byte(a.Note), now, audit.CheckConsistency(old, now, proof)
}

func (p *puller) get(ctx context.Context, path string, v any) (status int, err error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.ca != "" {
		text, err := os.ReadFile(p.ca)
		if err != nil {
			return 0, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(text) {
			return 0, errors.New("--ca holds no certificate")
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	hc := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	resp, err := hc.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(v); err != nil {
		return 0, fmt.Errorf("the box answers %d, and no JSON", resp.StatusCode)
	}
	return resp.StatusCode, nil
}
