package tpm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecureBoot(t *testing.T) {
	for name, tc := range map[string]struct {
		variables map[string][]byte
		want      SecureBootState
		says      string
	}{
		"on":                  {map[string][]byte{varSecureBoot: {6, 0, 0, 0, 1}}, SecureBootOn, "is on"},
		"on, all as it ought": {map[string][]byte{varSecureBoot: {6, 0, 0, 0, 1}, varSetupMode: {6, 0, 0, 0, 0}, varShimOff: {6, 0, 0, 0, 0}}, SecureBootOn, "is on"},
		"off":                 {map[string][]byte{varSecureBoot: {6, 0, 0, 0, 0}}, SecureBootOff, "switched off"},
		"set-up mode":         {map[string][]byte{varSecureBoot: {6, 0, 0, 0, 1}, varSetupMode: {6, 0, 0, 0, 1}}, SecureBootOff, "set-up mode"},
		"shim does not check": {map[string][]byte{varSecureBoot: {6, 0, 0, 0, 1}, varShimOff: {6, 0, 0, 0, 1}}, SecureBootOff, "shim"},
		"no Secure Boot":      {map[string][]byte{}, SecureBootOff, "has no Secure Boot"},
		"no UEFI":             {nil, SecureBootOff, "not started by UEFI"},
		"cut":                 {map[string][]byte{varSecureBoot: {6, 0, 0}}, SecureBootUnknown, "cannot be read"},
		"neither 0 nor 1":     {map[string][]byte{varSecureBoot: {6, 0, 0, 0, 2}}, SecureBootUnknown, "cannot be read"},
		"set-up mode cut":     {map[string][]byte{varSecureBoot: {6, 0, 0, 0, 1}, varSetupMode: {}}, SecureBootUnknown, "cannot be read"},
	} {
		dir := t.TempDir()
		if tc.variables != nil {
			if err := os.MkdirAll(filepath.Join(dir, efiVariables), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for variable, content := range tc.variables {
			setVariable(t, dir, variable, content...)
		}
		if got, why := SecureBoot(dir); got != tc.want || !strings.Contains(why, tc.says) {
			t.Errorf("%s: %s (%s), want %s saying %q", name, got, why, tc.want, tc.says)
		}
	}
}

// Without Secure Boot mode "tpm" protects nothing; the error names the modes that do.
func TestModeTPMNeedsSecureBoot(t *testing.T) {
	const passphrase = "three blind mice 9"
	ctx := testContext(t)
	c := newChip(t)
	for name, content := range map[string][]byte{"off": {6, 0, 0, 0, 0}, "unknown": {6}} {
		d := c.open()
		setVariable(t, d.sysfs, varSecureBoot, content...)
		_, _, _, err := Commission(ctx, d, CommissionOptions{Mode: ModeTPM, BoxID: "clinic-7"})
		if !errors.Is(err, ErrSecureBoot) || !strings.Contains(err.Error(), string(ModeTPMPassphrase)) || !strings.Contains(err.Error(), string(ModeOperator)) {
			t.Errorf("%s: got %v", name, err)
		}
		for _, mode := range []Mode{ModeTPMPassphrase, ModeOperator} {
			st, _, keys := commissioned(t, d, CommissionOptions{Mode: mode, Passphrase: passphrase, iterations: 1000})
			if _, _, err := Reseal(ctx, d, keys, st, ResealOptions{Mode: ModeTPM}); !errors.Is(err, ErrSecureBoot) {
				t.Errorf("%s, from %s to tpm: got %v, want ErrSecureBoot", name, mode, err)
			}
		}
		wantEmpty(t, d)
		d.Close()
	}
}
