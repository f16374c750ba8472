package outbox

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// sentences maps what is asked of this room, and of the way of a code through it, to the tests that hold
// it. "daemon.", "admin.", "otp." and "modem." are those folders.
var sentences = []struct{ says, tests string }{
	// Issue 3, senders and outbox.
	{"lanes", "TestLanesStaffAndFairTurns TestSIMWithoutPermissionCarriesCodesAndEssentialOnly"},
	{"quotas per SIM (minute, day)", "TestDayBudgetGoesByPartsAndSIM TestSIMCaps TestNoTextPassesTheCapByItsParts TestNoStretchHoldsMoreThanItsCap daemon.TestSoak"},
	{"stickiness", "TestStickiness TestClaimPrefersTheKnownSIM"},
	{"carrier preference", "TestNotSentPrefersOtherCarrierStep TestFilteringMovesCodes"},
	{"references live in outbox, and outlive a restart", "TestMultipartIsRetriedWholeUnderNewReference"},
	{"admission by estimated wait", "TestAdmit TestAccepting TestAdmitKnowsSuspectedWays otp.TestBusyRefusesAndLeavesBudgetsAsTheyWere"},
	{"the 300 s rule and its 45 s way out", "TestDepthAndCodeWaits modem.TestSilenceAfterThePDU modem.TestGiveUp daemon.TestFlowSwallowedCodeOneModem"},
	{"quarantine with probe, reset ladder with caps", "modem.TestQuarantine modem.TestSilentModemIsResetWithCaps"},
	{"SIM-to-SIM self-test by schedule", "TestMessageForOneSIM daemon.TestFlowSelfTestsAtNight daemon.TestFlowSelfTestOfNewSIM"},

	// Issue 3, routes.
	{"each SIM has a record", "TestSetSIMEntry TestSetSIMRefuses admin.TestPutSIM admin.TestPutSIMRefuses"},
	{"without permission it carries codes and alarms only", "TestSIMWithoutPermissionCarriesCodesAndEssentialOnly TestNoticeWaitsForPermission"},
	{"and health says so", "TestSIMTroubles"},
	{"half of each SIM's minute and day budget is kept for codes", "TestHalfOfMinuteBudgetIsKeptForCodes TestNoTextPassesTheCapByItsParts TestNoStretchHoldsMoreThanItsCap"},
	{"plan says when codes would wait over 10 s or expire", "TestPlan TestPlanAddIsEnough TestPlanNow"},
	{"suspected filtering: its own alarm", "TestFilteringMovesCodes TestFilteringOfNewSIM TestNoFiltering"},
	{"codes move to another SIM", "TestFilteringMovesCodes TestFilteringOverrulesStickiness TestFilteringStrandsNoCode"},
	{"and it ends", "TestFilteringEndsByProof TestFilteringNotEndedByOldText TestFilteringTrial TestFilteringEndsWithoutTraffic"},
	{"receipts are learned per SIM and prefix (share, delay)", "TestLearned TestConvertedCreditsOneAttempt"},

	// Issue 3, numbers.
	{"64 modems at 99 %", "daemon.TestModemsAreKeptBusy"},
	{"a code behind a campaign", "daemon.TestCodeBehindACampaignWaitsForThePartOnAir BenchmarkNextBehindCampaign"},
	{"an idle modem gets its AT+CMGS", "TestStartClaimsIdleSender daemon.TestFlowClaimCarriesACode daemon.BenchmarkStartToFirstByte"},
	{"every accepted message ends in one right final state", "TestModel daemon.TestSoak"},

	// DESIGN section 3, route.
	{"another carrier 15 s after the network took it without a receipt", "TestMissingReceipt"},
	{"only where receipts are proven", "TestMissingReceipt TestProofGoesBySIMAndPrefix"},
	{"an error moves on at once", "TestNotSentGoesElsewhereAtOnce TestUndeliveredMovesOnAtOnce TestRefusedSIMGoesElsewhere"},
	{"voice starts at half-life at the latest", "TestVoiceStartsAtHalfLife TestRouteRespectsNoVoice"},
	{"desk services call only on a click", "TestHasten otp.TestDeskCallsOnlyOnAClick"},

	// DESIGN section 4.
	{"queued, sending, sent, delivered or undelivered", "TestMessageGoesOutAndIsDelivered TestUndeliveredMovesOnAtOnce"},
	{"receipts may resolve sending, unknown, and queued again", "TestReceiptBeforeCMGS TestReceiptResolvesUnknown TestLateReceiptTakesMessageOutOfLine"},
	{"not sent: next step or back-off", "TestNotSentGoesElsewhereAtOnce TestNotSentBacksOff"},
	{"refused, expired, canceled", "TestRefusedByRecipient TestExpires TestCancel"},
	{"within otp staff first, then fair turns by client", "TestLanesStaffAndFairTurns"},
	{"one bad number or modem blocks no other", "TestBlockedNumberBlocksNoOther TestUnservableLineBlocksNoOther TestSourceThatFailsBlocksNoOther TestDamagedRecordBlocksNoOther"},
	{"a code is sent again when unknown, a notice only if its template says so", "TestUnknown TestModel"},
	{"a multi-part text is retried whole, on one SIM, under a new reference", "TestMultipartIsRetriedWholeUnderNewReference TestMultipartFailsWithOnePart"},
	{"the same patient gets the same number while that SIM is well", "TestStickiness"},
	{"a late answer", "TestAmendSentTakesCodeOutOfLine TestAmendContradicted daemon.TestFlowLateAnswerAmends"},
	{"modes hold back", "TestModesHoldBack daemon.TestFlowSelfTestByMode"},
	{"crash at each step, restore", "TestCrashAtEachStep TestCrashAfterClaim TestRecoverAfterRestart TestAfterRestore"},
}

func TestEachSentenceHasATest(t *testing.T) {
	known := map[string]bool{}
	for dir, prefix := range map[string]string{".": "", "..": "daemon.", "../admin": "admin.", "../otp": "otp.", "../../modem": "modem."} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", dir, err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
					known[prefix+f.Name.Name] = true
				}
			}
		}
	}
	for _, s := range sentences {
		if s.tests == "" {
			t.Errorf("%s: has no test", s.says)
		}
		for _, name := range strings.Fields(s.tests) {
			if !known[name] {
				t.Errorf("%s: there is no %s", s.says, name)
			}
		}
	}
}
