package modem

import (
	"fmt"
	"math/rand/v2"
	"time"

	"pinward/modem/modemsim"
)

// mischiefs are the faults of the simulator, one by one and as they come together. A modem that says with a code that proves it
// that nothing was sent, and sends, is not among them: nobody could tell. Neither are texts that are accepted and do not arrive
// (false_ok, filter_to, give_up): this judge counts what arrives; that of the whole house asks the network.
var mischiefs = []func(*rand.Rand) modemsim.Faults{
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{EchoAlways: true, DoubleCR: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{CROnly: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{NoLeadingCR: true, Garbage: 20} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{GlueLines: true} },
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{Chunk: 1 + r.IntN(5), ChunkGap: modemsim.Duration(time.Millisecond), URCInside: true}
	},
	func(*rand.Rand) modemsim.Faults {
		return modemsim.Faults{URCEvery: modemsim.Duration(200 * time.Millisecond)}
	},
	func(r *rand.Rand) modemsim.Faults { return modemsim.Faults{Silence: 1 + r.IntN(5)} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{Silence: -1} },
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{Late: modemsim.Duration(r.Int64N(int64(8 * time.Second)))}
	},
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{LateNext: modemsim.Duration(r.Int64N(int64(90 * time.Second)))}
	},
	func(r *rand.Rand) modemsim.Faults { return modemsim.Faults{Unknown: 1 + r.IntN(4)} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{Stuck: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{Prompt: "\r\n>\r\n"} },
	func(r *rand.Rand) modemsim.Faults { return modemsim.Faults{NoPrompt: 1, IgnoreESC: r.IntN(2) == 0} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{DoublePrompt: true} },
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{PromptDelay: modemsim.Duration(r.Int64N(int64(15 * time.Second)))}
	},
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{PromptRace: modemsim.Duration(r.Int64N(int64(200 * time.Millisecond)))}
	},
	func(r *rand.Rand) modemsim.Faults {
		var f modemsim.Faults
		for range 1 + r.IntN(4) {
			class := []Class{ClassTransient, ClassAmbiguous, ClassRecipient, ClassFault, ClassSIM, ClassStorage}[r.IntN(6)]
			codes := cmsClasses[class]
			f.SendErrors = append(f.SendErrors, fmt.Sprintf("+CMS ERROR: %d", codes[r.IntN(len(codes))]))
		}
		return f
	},
	func(r *rand.Rand) modemsim.Faults {
		words := []string{"+CMS ERROR: 500", "+CMS ERROR: 332", "+CMS ERROR: 512", "ERROR", "+CMS ERROR: Network timeout", "+CME ERROR: 100"}
		return modemsim.Faults{SendErrors: []string{words[r.IntN(len(words))]}, SentAnyway: r.IntN(2) == 0}
	},
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{SwallowPDU: 1} },
	func(r *rand.Rand) modemsim.Faults { return modemsim.Faults{SilentSend: 1, IgnoreESC: r.IntN(2) == 0} },
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{SendDelay: modemsim.Duration(r.Int64N(int64(400 * time.Second)))}
	},
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{RebootAt: []modemsim.Moment{modemsim.AtPrompt, modemsim.AtPDU, modemsim.AtAnswer}[r.IntN(3)]}
	},
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{UnplugAt: []modemsim.Moment{modemsim.AtPrompt, modemsim.AtPDU, modemsim.AtAnswer}[r.IntN(3)],
			UnplugFor: modemsim.Duration(r.Int64N(int64(time.Minute)))}
	},
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{Unplugged: true} },
	func(r *rand.Rand) modemsim.Faults { return modemsim.Faults{Registration: 2 + r.IntN(10)} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{SIMRemoved: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{StoreFull: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{NoCredit: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{RoutingLost: true, NoDirectReports: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{ReportEarly: true, ReportTwice: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{ReportNever: true, NoCMTI: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{ReportWrongMR: true, ReportForeign: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{FixedMR: true, TextTwice: true} },
	func(*rand.Rand) modemsim.Faults {
		return modemsim.Faults{ReportDelay: modemsim.Duration(10 * time.Minute), LoseText: 2}
	},
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{USSD: `+CUSD: 0,"cut`, NoForwarding: true} },
	func(*rand.Rand) modemsim.Faults {
		return modemsim.Faults{LeadingLF: true, GlueError: true, BootNoise: true}
	},
	func(r *rand.Rand) modemsim.Faults { return modemsim.Faults{URCAtPrompt: true, Asleep: 1 + r.IntN(3)} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{Babble: modemsim.Duration(time.Second)} },
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{ESCTooLate: true, SendDelay: modemsim.Duration(r.Int64N(int64(400 * time.Second)))}
	},
	func(r *rand.Rand) modemsim.Faults { return modemsim.Faults{SupplyDips: 1 + r.IntN(3)} },
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{SIMBusy: 1 + r.IntN(3), SlowReady: modemsim.Duration(20 * time.Second), SupplyDips: 1}
	},
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{LTEOnly: true, Signal: 99} },
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{NoCredit: true, NoCreditAs: []string{"+CMS ERROR: 69", "+CMS ERROR: 500", "silence"}[r.IntN(3)]}
	},
	func(r *rand.Rand) modemsim.Faults {
		return modemsim.Faults{Barred: r.IntN(2) == 0, MaxPerMinute: 1 + r.IntN(3)}
	},
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{RepeatMR: true, ThreeStores: true} },
	func(*rand.Rand) modemsim.Faults { return modemsim.Faults{RefuseValidity: true, StoreClaim: 255} },
	func(r *rand.Rand) modemsim.Faults { // a bad line on a bad day
		return modemsim.Faults{DoubleCR: true, EchoAlways: true, URCEvery: modemsim.Duration(time.Second), Garbage: 5,
			Late: modemsim.Duration(r.Int64N(int64(3 * time.Second))), Chunk: 7, SendDelay: modemsim.Duration(20 * time.Second)}
	},
}
