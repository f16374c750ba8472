package tpm

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// eventLog is the firmware's log below sysfs, for root alone on most systems.
const eventLog = "kernel/security/tpm0/binary_bios_measurements"

// maxStateEvents bounds what a State keeps of one log: PCR 7 has about fifteen events, PCR 4 a handful.
const maxStateEvents = 200

// EventState is one event of the log at sealing.
type EventState struct {
	PCR    int    `json:"pcr"`
	Kind   uint32 `json:"kind"`
	Label  string `json:"label"`
	Digest Hex    `json:"digest"`
}

// readLog reads the log; no log is no error, but nothing to say.
func readLog(sysfs string) []event {
	f, err := os.Open(filepath.Join(sysfs, eventLog))
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLog+1))
	if err != nil {
		return nil
	}
	events, err := parseLog(data)
	if err != nil {
		return nil
	}
	return events
}

// measured is what the log says to have made the values of pcrs. Registers whose value the log does not account for are left out: a
// wrong guess is worse than none.
func measured(sysfs string, pcrs []PCRState) []EventState {
	events := readLog(sysfs)
	var kept []EventState
	for _, p := range pcrs {
		if !bytes.Equal(replay(events, p.Index), p.Value) {
			continue
		}
		kept = append(kept, ofRegister(events, p.Index)...)
	}
	if len(kept) > maxStateEvents {
		return nil
	}
	return kept
}

func ofRegister(events []event, pcr int) []EventState {
	var kept []EventState
	for _, e := range events {
		if e.pcr == pcr && e.kind != evNoAction {
			kept = append(kept, EventState{PCR: pcr, Kind: e.kind, Label: e.label(), Digest: e.digest[:]})
		}
	}
	return kept
}

// causes says for each register that moved what the log now shows to be different from the log at sealing.
func causes(sysfs string, sealed SealState, moved []int) []string {
	events := readLog(sysfs)
	said := make([]string, len(moved))
	for i, pcr := range moved {
		before := slices.DeleteFunc(slices.Clone(sealed.Events), func(e EventState) bool { return e.PCR != pcr })
		now := ofRegister(events, pcr)
		if len(before) > 0 && len(now) > 0 {
			said[i] = difference(before, now)
		}
	}
	return said
}

// difference names what is in one log and not in the other, in the order of the boot. Events are compared by what they are
// about, since one that was added moves all that follow.
func difference(before, now []EventState) string {
	type key struct {
		kind  uint32
		label string
	}
	digests := func(events []EventState) map[key]string {
		all := map[key]string{}
		for _, e := range events {
			k := key{e.Kind, e.Label}
			all[k] += string(e.Digest)
		}
		return all
	}
	was, is := digests(before), digests(now)
	var said []string
	for _, e := range slices.Concat(before, now) {
		k := key{e.Kind, e.Label}
		if was[k] == is[k] {
			continue
		}
		if words := inWords(e); !slices.Contains(said, words) {
			said = append(said, words)
		}
	}
	if len(said) == 0 {
		// All that the log tells is as it was: something was measured that it does not hold, or it was in another order.
		return "the firmware's log shows no difference, so something else was measured after it"
	}
	return strings.Join(said, "; ")
}

// inWords says what a person would call a change of this event.
func inWords(e EventState) string {
	switch e.Kind {
	case evVariable:
		switch e.Label {
		case "SecureBoot":
			return "Secure Boot was switched on or off"
		case "PK", "KEK", "db", "dbx", "dbt", "dbr":
			return "the Secure Boot " + e.Label + " changed"
		}
		return "the firmware setting " + e.Label + " changed"
	case evAuthority:
		return "the boot loader is accepted by another entry of " + strings.TrimPrefix(e.Label, "authority ")
	case evBootVariable, evBootVariable2:
		return "the boot order or a boot entry changed (" + e.Label + ")"
	case evApplication:
		return "the boot loader changed"
	case evBootDriver, evRuntimeDriver:
		return "a driver of the firmware or of a card changed"
	case evGPT:
		return "the partition table changed"
	case evFirmwareBlob, evFirmwareBlob2, evCRTMContents, evCRTMVersion:
		return "the firmware is another version"
	case evMicrocode:
		return "the processor's microcode changed"
	case evIPL:
		return "the boot loader's commands, kernel or initrd changed"
	case evAction, evSeparator:
		return "the course of the boot changed"
	}
	return "another measurement changed"
}
