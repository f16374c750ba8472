package tpm

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// traps lists the points of the keys-store-audit reference, section 1, that concern this room, and the tests that hold them.
var traps = map[string][]string{
	"1.1 commands that go-tpm lacks":                   {"TestLockoutIsResetWithOurValue", "TestSuspensionDiesUnused"},
	"1.2a authorisation value cut at a zero byte":      {"TestTrapAuthValueIsCutAtZeroByte"},
	"1.2b failed policy leaks its session":             {"TestTrapFailedPolicyLeaksSession"},
	"1.2c PCR mismatch has many codes":                 {"TestTrapPCRMismatchHasManyCodes", "TestForeignBlobIsCleared", "TestLockoutIsTold"},
	"1.2d CFB panics under fips140=only":               {"TestTrapFIPSOnlyPanicsOnCFB"},
	"1.2e NV Name changes on first write":              {"TestTrapNVNameChangesOnFirstWrite"},
	"1.2f retry codes, errno, no end of a poll":        {"TestTrapBusyTPMIsAskedAgain", "TestDriverFailsForOnce", "TestDriverFailsForGood", "TestWatchdog"},
	"1.2g transports are not goroutine-safe":           {"TestTrapCallersAtOnce"},
	"1.2h persistent parent needs a slot":              {"TestTrapPersistentParentNeedsASlot", "TestNoRoomInTheTPM"},
	"1.2i two ECC templates":                           {"TestTrapTwoECCTemplatesGiveTwoKeys"},
	"1.3 somebody else's storage key stays":            {"TestTrapStorageKeyThatCannotSalt", "TestTrapTwoECCTemplatesGiveTwoKeys"},
	"1.3 salted, encrypted, tapped":                    {"TestNothingSecretOnTheBus"},
	"1.3 Name pinned against an interposer":            {"TestPinnedSRKRefusesInterposer", "TestInterposerWithoutTheKeyGetsNowhere", "TestInterposerCannotLieAboutPCRs"},
	"1.4 PCR 7 by default, which register and why":     {"TestPCRChangedNamesTheRegister", "TestPCRChangeNamesItsCause"},
	"1.4 PCR_CHANGED race, five tries":                 {"TestPCRChangedMidwayIsTriedAgain", "TestPCRChangedMidwayIsGivenUp"},
	"1.4 empty password refused":                       {"TestSealOpensUnderItsPolicyOnly"},
	"1.5 noDA, unseals in lockout":                     {"TestTrapLockoutDoesNotStopUs", "TestChangePassphrase"},
	"1.5 lockout counter and inLockout for health":     {"TestInfo", "TestLockoutIsResetWithOurValue"},
	"1.5 Clear with the empty lockout authorisation":   {"TestClearNeedsOurLockoutAuth", "TestOwnKeepsOthersOut"},
	"1.6 TPM time is not on the path of a code":        {"TestCodesNeverWaitForTheTPM", "TestTPMHangs"},
	"1.7 counter before its first increment":           {"TestTrapNVNameChangesOnFirstWrite"},
	"1.7 counter deleted or defined again":             {"TestCounterReplacedByTheOwner"},
	"1.7 wear: an hour between increments":             {"TestAnchorIsRateLimited", "TestAnchorAnswerLost", "TestDriverLosesTheAnswerToAnIncrement"},
	"1.8 restricted key refuses a foreign digest":      {"TestTrapRestrictedKeyRefusesForeignDigest"},
	"1.8 NV_Certify binds head, counter and clock":     {"TestAnchor", "TestParseAnchorRefusesWhatWasChanged"},
	"1.8 endorsement hierarchy, true reset count":      {"TestAnchor"},
	"1.8 endorsement certificate":                      {"TestEndorsementCertificates"},
	"1.9 cleared, other board, lost":                   {"TestClearedTPM", "TestOtherTPM", "TestLostTPM"},
	"1.9 kit: two of three, named holders, drill":      {"TestAnyTwoSharesOpen", "TestHolders", "TestDrill"},
	"1.9 kit holds owner and lockout authorisation":    {"TestOwnKeepsOthersOut", "TestOwnedTPMWithoutStorageKey"},
	"1.10 leftovers of a dead process, no manager":     {"TestLeftoversOfADeadProcess"},
	"2.5 rotation: old seal until the new one is used": {"TestRotateRoot"},
}

func TestEachTrapHasItsTest(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") && len(fn.Body.List) > 0 {
				tests[fn.Name.Name] = true
			}
		}
	}
	if len(tests) < len(traps) {
		t.Fatalf("found %d tests only", len(tests))
	}
	for point, named := range traps {
		for _, name := range named {
			if !tests[name] {
				t.Errorf("%s: there is no %s", point, name)
			}
		}
	}
}
