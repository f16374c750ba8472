package tpm

import (
	"errors"
	"os"
	"path/filepath"
)

// SecureBootState says whether the firmware verifies what it starts.
type SecureBootState string

// The states of Secure Boot.
const (
	SecureBootOn      SecureBootState = "on"
	SecureBootOff     SecureBootState = "off"
	SecureBootUnknown SecureBootState = "unknown"
)

// The variables that tell, by name and vendor GUID (UEFI specification, section 3.3; MokSBStateRT is shim's).
const (
	efiVariables  = "firmware/efi/efivars"
	varSecureBoot = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	varSetupMode  = "SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	varShimOff    = "MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23"
)

// SecureBoot reads from the kernel's view of the firmware's variables, below sysfs ("/sys"), whether Secure Boot is on, and says in
// plain words why it is not. It is on only if the firmware says so, is not in set-up mode, and shim's own check is not
// switched off. Who is root can make this file system lie; PCR 7 does not.
func SecureBoot(sysfs string) (SecureBootState, string) {
	dir := filepath.Join(sysfs, efiVariables)
	on, err := efiFlag(dir, varSecureBoot)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return SecureBootOff, "the machine was not started by UEFI"
		}
		return SecureBootOff, "this firmware has no Secure Boot"
	case err != nil:
		return SecureBootUnknown, "the firmware's SecureBoot variable cannot be read"
	case !on:
		return SecureBootOff, "Secure Boot is switched off in the firmware"
	}
	for _, v := range []struct{ name, means string }{
		{varSetupMode, "the firmware is in Secure Boot set-up mode: anybody may enrol keys"},
		{varShimOff, "the boot loader's check (shim, MokSBState) is switched off"},
	} {
		bad, err := efiFlag(dir, v.name)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return SecureBootUnknown, "a Secure Boot variable of the firmware cannot be read"
		case bad:
			return SecureBootOff, v.means
		}
	}
	return SecureBootOn, "Secure Boot is on"
}

// efiFlag reads a variable of one byte, which efivarfs shows behind four bytes of attributes.
func efiFlag(dir, name string) (bool, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return false, err
	}
	if len(data) != 5 || data[4] > 1 {
		return false, errors.New("variable is not a flag")
	}
	return data[4] == 1, nil
}
