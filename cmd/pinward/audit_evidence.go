package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"pinward/store/audit"
)

// evidencePack makes one folder for an audit: the evidence by sections, the activity review and the
// incidents of the same time, and the audit itself with the verdict on it. signer may be empty: then the
// verdict says whose the audit claims to be.
func (c *client) evidencePack(ctx context.Context, dir, signer string, q url.Values) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for _, kind := range []string{"ocr", "activity", "incidents"} {
		if err := c.saveReport(ctx, kind, q, filepath.Join(dir, kind+".csv")); err != nil {
			return err
		}
	}
	bundle := filepath.Join(dir, "bundle")
	if err := c.exportTo(ctx, bundle, ""); err != nil {
		return err
	}
	report, err := audit.Verify(ctx, bundle, audit.VerifyOptions{Signer: signer})
	if err != nil {
		return fmt.Errorf("NOT verified: %w", err)
	}
	var verdict bytes.Buffer
	if err := report.WriteText(&verdict); err != nil {
		return err
	}
	if err := writePrivate(filepath.Join(dir, "verify.txt"), verdict.String()); err != nil {
		return err
	}
	fmt.Printf("%s written: ocr.csv, activity.csv, incidents.csv, verify.txt, and bundle, which anybody can verify again\n", dir)
	if !report.Pinned {
		return exit(1)
	}
	return nil
}

func (c *client) saveReport(ctx context.Context, kind string, q url.Values, path string) error {
	resp, err := c.do(ctx, http.MethodGet, "/audit/report/"+kind+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
