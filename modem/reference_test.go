package modem

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// points maps what reference/modem.md says of SMS and of calls to the tests that hold it, in its order. "line." and "port." are the packages below;
// "sim." is the simulator. Where the library is at fault the test runs it bare first and wants the fault.
var points = []struct{ point, says, tests string }{
	{"1.2/1", "URCs leak into the answer", "line.TestDefect01_URCLeaksIntoAnswer line.TestCodesAtAnyMoment"},
	{"1.2/2", "order of URCs is lost", "line.TestDefect02_OrderOfURCs"},
	{"1.2/3", "a late reply goes to the next command", "line.TestDefect03_LateAnswerGoesToTheNextCommand TestOneLateAnswerCostsAResync"},
	{"1.2/4", "a late +CMGS is credited to the next message", "line.TestDefect04_LateReferenceGoesToTheNextMessage TestLateReferenceIsNobodys"},
	{"1.2/5", "unknown final results", "line.TestDefect05_UnknownFinalResults line.TestDefect05_CallResultsAfterDial"},
	{"1.2/6", "'>' starting any line", "line.TestDefect06_PromptOnlyWhenDue"},
	{"1.2/7", "empty text panics", "TestDefect07_EmptyTextPanics TestDefect07_EmptyText"},
	{"1.2/8", "cross-delivery", "TestDefect08_CrossDelivery TestDefect08_09_ConcurrentEncoding"},
	{"1.2/9", "charset tables filled without a lock", "TestDefect09_TablesAreFilledBeforehand TestDefect08_09_ConcurrentEncoding"},
	{"1.2/10", "references start again; the order trap", "TestDefect10_ConcatReferenceIsTheCallers"},
	{"1.2/11", "To forces international", "TestDefect11_ShortCodes TestSettingNationalTOA"},
	{"1.2/12", "reports must be asked for", "TestDefect12_ReportsAreAskedFor"},
	{"1.2/13", "+GCAP with a space", "TestDefect13_CapabilitiesAreNotAskedFor"},
	{"1.2/14", "trailing line empty or missing", "line.TestDefect14_TrailingLineMissing"},
	{"1.2/15", "framing", "line.TestDefect15_Framing TestFramingAndNoise"},
	{"1.2/16", "lower-case PDU", "TestDefect16_HexIsUpperCase TestDefect16_UpperCase"},
	{"1.2/17", "only +CMT; CNMA behind a send", "TestDefect17_ReceptionDuringASend"},
	{"1.2/18", "no time limit of writes; a line without end", "line.TestStuckWritesLeaveNothing line.TestDefect18_LineWithoutEnd"},

	{"2/1", "Close hangs under a blocked Read", "port.TestCloseUnderBlockedRead"},
	{"2/2", "EOF is a timeout", "port.TestIdleIsNotEOF"},
	{"2/3", "Close during Read with ReadTimeout", "port.TestCloseUnderBlockedRead"},
	{"2/4", "unplugged: EIO, then EOF at once", "port.TestUnplugIsNotATimeout line.TestPortThatVanishes"},
	{"2/5", "unplug looks like a timeout", "port.TestUnplugIsNotATimeout port.TestAnotherDeviceUnderTheLink"},
	{"2/6", "Write blocks for ever", "port.TestWriteIsNotTaken TestStuckWrites"},
	{"2/7", "two processes share a port", "port.TestOneProcessOnly port.TestSecondProcessGetsAClearError TestBusyPortIsNamed"},
	{"2/8", "the port is given up and opened anew", "port.TestThousandReopeningsLeaveNothing TestStuckPortAThousandTimes"},

	{"3/1", "never ttyUSBn: by-path, IMEI, ICCID", "port.TestListTellsTwoIdenticalSticks TestOverASerialPort TestAnotherModemAtThePort TestSIMOtherThanExpected"},
	{"3/2", "port maps", "port.TestListKnowsTheInterfaces port.TestListNamesEachDeviceOnce"},
	{"3/3", "probe", "TestProbeEachProfile TestProbeWritesNoMoreThanAT TestProbeWantsAnIMEI TestProbePassesTheErrorsOfThePort"},
	{"3/4", "call codes at the AT port", "TestCodesComeToTheATPort TestCallInMidSend"},
	{"3/6", "first commands get lost", "TestFirstCommandsAreLost TestProbeWakesAModem"},
	{"3/7", "supply dips", "TestSupplyDips"},
	{"3/8", "reset ladder", "TestSilentModemIsResetWithCaps TestLadderBackoff TestRestartOfEachProfile TestOneLateAnswerCostsAResync"},

	{"4/1", "codes at any moment", "line.TestCodesAtAnyMoment line.TestCodesBetweenPDUAndAnswer"},
	{"4/2", "it rebooted in mid-session", "TestRebootWords TestRebootInMidSend TestModemRestartedBetweenPartsSendsNoMore"},
	{"4/3", "framing of each make", "line.TestMuseumOfDeviceAnswers TestFramingAndNoise"},
	{"4/4", "order, times and needs of the steps", "TestLeastModem TestEachStepMayBeSilentOnce TestStorageForms TestBringUpSendReport"},
	{"4/5", "PIN", "TestPIN TestWrongPINIsTriedOnce TestEnterPIN TestEnterPINRefusedTellsTheTriesLeft TestEnterPINNeedsNoPUK TestPINTriesMuseum"},
	{"4/6", "CPIN 10 to 14", "TestSIMRemovedAndBack TestSIMBusyAfterPowerOn"},
	{"4/7", "registration", "TestRegistrationOfEachKind TestRegistrationLost TestRegistrationMuseum"},
	{"4/8", "no COPS=?, no CGATT?", "TestNeverAsked"},
	{"4/9", "CGSMS", "TestSettingsAreGivenAndReadBack"},

	{"5.1/1", "prompt forms", "TestPromptForms"},
	{"5.1/2", "no PDU without a prompt; the prompt race", "line.TestNoPromptNoPDU line.TestPromptRace TestNoPromptIsNotSent"},
	{"5.1/3", "300 s", "TestSilenceAfterThePDU TestAnswerMinutesLateIsAnAnswer"},
	{"5.1/4", "the caller's patience, and the way out", "TestContextEndsMidSend TestGiveUp"},
	{"5.1/5", "20 ms; CMMS only for several parts", "line.TestPauseBetweenCommands TestPartsOfATextLeaveByOneSIM TestOnePartCostsOneCommand"},
	{"5.1/6", "one command at a time, by class", "line.TestOrderOfWaitingCommands line.TestHangUpDuringASend"},
	{"5.2/1", "each code has one class and one outcome", "TestEveryCMSCodeHasOneClass TestOutcomeByErrorClass TestClassesAreAPartition"},
	{"5.2/2", "each class has one action", "TestActionOfEachClass TestQuarantine TestRefusalsOfTheSIMAreNamed"},
	{"5.2/3", "no credit", "TestNoCreditIsNamed TestBalanceOfEachProfile"},
	{"5.3/1", "reports directly, or by way of the storage", "TestBringUpSendReport TestReportsByWayOfTheStorage"},
	{"5.3/2", "CSMS=0, no CNMA, CNMI read back", "TestRoutingLostComesBack TestSettingsAreReadBack TestDefect17_ReceptionDuringASend"},
	{"5.3/3", "reports early, doubled, under another reference", "TestReportsOnBadDays"},
	{"5.3/4", "TP-VP, and modems that refuse it", "TestDefect19_ValidityPeriod TestSettingNoValidity"},
	{"5.4/1", "CMTI, keep, CMGD", "TestIncomingText TestTextStaysInTheSIMUntilDone TestTextsOnBadDays TestLongTextComesInParts"},
	{"5.4/2", "the poll", "TestPollFindsWhatNoURCTold TestSlowConsumerLosesNoText"},
	{"5.4/3", "80 %, the real limit, purge", "TestStorageAlarmByTheRealLimit TestStorageFull TestOtherMemoryIsEmptiedAtTheStart"},
	{"5.5/1", "alphabet", "TestAlphabetOfEachCharacter TestEncodeOctets TestEncodePartsAndBounds TestSurrogatesAreNeverParted"},
	{"5.5/2", "type of number", "TestDefect11_ShortCodes TestSettingNationalTOA"},
	{"5.6/1", "radio, IMS, CGSMS", "TestSettingsAreGivenAndReadBack TestSettingsLeftAlone TestSettingUnknownToTheProfile TestSettingThatIsForgotten"},

	{"6.1/1", "ATD answers at once, or when it is answered", "TestCallConfirmed TestCallsByCLCCAlone"},
	{"6.1/2", "CLCC each 500 ms is the truth", "TestCallsByCLCCAlone TestModemWithoutCLCC"},
	{"6.1/3", "CHUP, then CLCC until empty; ATH is ignored by some", "TestCallsByCLCCAlone TestHangUpIsProvedOrTheModuleRestarted TestContextEndsACall"},
	{"6.1/4", "CEER", "TestOutcomeOfEachEnd TestMuseumOfEachProfile"},
	{"6.1/5", "data contexts, stat 6", "TestCallsByCLCCAlone TestMuseumOfEachProfile"},
	{"6.1/6", "codes hasten", "TestCallsByCLCCAlone TestOutcomeOfEachEnd line.TestCodesOfCallsAreNoAnswers"},
	{"6.1/7", "false answer, voicemail: no digit before a key", "TestFalseAnswer TestOutcomeOfEachEnd voice.TestScriptSaysNothingPersonalBeforeAKey"},
	{"6.1/8", "timers, and always CHUP", "TestTimesOfACall TestContextEndsACall TestCallLeftByACrashIsEnded TestModemLostInMidCall"},
	{"6.1/9", "texts while a call is up", "TestTextsDuringACall"},
	{"6.1/10", "one call a modem", "TestSecondCallIsRefused TestIncomingCallDuringOurs"},
	{"6.2/1", "Quectel speech", "TestCallBySpeech"},
	{"6.2/2", "Quectel files", "TestCallByFiles"},
	{"6.2/3", "SIMCom speech", "TestCallBySpeech"},
	{"6.2/4", "SIMCom files", "TestCallByFiles"},
	{"6.2/5", "Huawei PCM; voice may be locked", "TestCallConfirmed TestCapabilityRecord"},
	{"6.2/6", "Quectel PCM, +QPCMV: 0", "TestCallConfirmed TestBackPressure"},
	{"6.2/7", "SIM7600 PCM: CPCMREG=1 refused, CRESET", "TestAudioThatDoesNotStart TestCallConfirmed"},
	{"6.2/8", "files are deleted; the code is never shown", "TestCallByFiles TestCallsShowNoNumberAndNoCode"},
	{"6.3/1", "320 octets each 20 ms, absolute deadlines, two frames at most", "voice.TestPacerKeepsTimeWithoutDrift voice.TestPacerCatchesUpByTwoFramesAndCutsNothing TestEightCallsOverTerminals"},
	{"6.3/2", "the other direction is read always", "voice.TestPCMBothWays"},
	{"6.3/3", "a write that is not taken", "voice.TestPacerTearsNoSampleWhenThePortIsSlow port.TestAudioPortThatStallsIsNotGivenUp TestBackPressure"},
	{"6.3/4", "silence before, pauses, the code twice", "voice.TestScriptCourses"},
	{"6.4/1", "codes of each make", "TestKeysByEachWay TestMuseumOfEachProfile"},
	{"6.4/2", "Goertzel: twist, blocks, share, talk-off", "voice.TestDTMFAllKeysInNoise voice.TestDTMFTwistAndDuration voice.TestDTMFTalkOff voice.TestDTMFNoKeyInNoiseOrVoice"},
	{"6.4/3", "one press is told twice", "voice.TestKeysCountEachPressOnce TestKeysByEachWay"},
	{"6.5/1", "no IMS: ERROR or NO CARRIER at once", "TestOutcomeOfEachEnd"},
	{"6.5/2", "the capability record; modules without voice", "TestCapabilityRecord port.TestAudioPortOfEachModule"},
	{"6.6/1", "no vendor's commands to another's module", "TestNotCalled"},

	{"8/1", "museum", "line.TestMuseumOfDeviceAnswers TestMuseumOfEachProfile TestRegistrationMuseum TestForwardMuseum"},
	{"8/2", "hostile bytes", "line.FuzzLine line.FuzzSplitter FuzzURCs FuzzDecode FuzzListing FuzzEncode"},
	{"8/3", "a long bad day", "TestSoak"},

	{"9/1", "TP-VP of 5 minutes (defect 19)", "TestDefect19_ValidityPeriod"},
	{"9/2", "a second prompt", "line.TestSecondPromptWritesThePDUOnce"},
	{"9/3", "hang-up behind a send; stuck writes", "line.TestHangUpDuringASend line.TestStuckWritesLeaveNothing"},
	{"9/4", "upload", "line.TestUpload"},
	{"9/5", "nothing leaks when the port is reopened", "line.TestReopenLeaksNothing port.TestThousandReopeningsLeaveNothing"},
	{"9/6", "TIOCEXCL outlives a descriptor", "port.TestGivenUpPortOpensAgain"},
	{"9/8", "parts by two SIMs", "TestSIMSwappedBetweenPartsSendsNoMore TestSIMSwappedBetweenTwoParts TestFailureOfALaterPart"},
}

// sections are what the table must hold: how many points of each section speak of SMS or calls and of this room. Not here are 3/5 (udev rules)
// and 5.7 (rates), which are packaging's and the outbox's, 9/7, a remark on synctest, and 9/9, on the simulator.
var sections = map[string][]int{
	"1.2": upTo(18), "2": upTo(8), "3": {1, 2, 3, 4, 6, 7, 8}, "4": upTo(9), "5.1": upTo(6), "5.2": upTo(3), "5.3": upTo(4), "5.4": upTo(3),
	"5.5": upTo(2), "5.6": upTo(1), "6.1": upTo(10), "6.2": upTo(8), "6.3": upTo(4), "6.4": upTo(3), "6.5": upTo(2), "6.6": upTo(1), "8": upTo(3), "9": {1, 2, 3, 4, 5, 6, 8},
}

func upTo(n int) (out []int) {
	for i := range n {
		out = append(out, i+1)
	}
	return out
}

func TestEachPointOfTheReferenceHasATest(t *testing.T) {
	known := map[string]bool{}
	for dir, prefix := range map[string]string{".": "", "line": "line.", "port": "port.", "voice": "voice."} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
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
	have := map[string]bool{}
	for _, p := range points {
		if have[p.point] {
			t.Errorf("%s stands twice", p.point)
		}
		have[p.point] = true
		for _, name := range strings.Fields(p.tests) {
			if !known[name] {
				t.Errorf("%s (%s): there is no %s", p.point, p.says, name)
			}
		}
		if p.tests == "" {
			t.Errorf("%s (%s) has no test", p.point, p.says)
		}
	}
	for section, numbers := range sections {
		for _, n := range numbers {
			if point := fmt.Sprintf("%s/%d", section, n); !have[point] {
				t.Errorf("%s is not in the table", point)
			}
			delete(have, fmt.Sprintf("%s/%d", section, n))
		}
	}
	for point := range have {
		t.Errorf("%s is in no section", point)
	}
}
