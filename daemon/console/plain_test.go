package console

import (
	"testing"
	"time"

	"pinward/daemon/health"
)

// Who does not operate the box sees what does not work, and no modem, cause or serial number.
func TestHealthIsPlainForThoseWhoDoNotOperate(t *testing.T) {
	warn := func(cause string) func() (health.State, string) {
		return func() (health.State, string) { return health.Warn, cause }
	}
	tree := health.Judge(health.Check{Name: "pinward", Children: []health.Check{{Name: "store", Children: []health.Check{
		{Name: "modems", Ask: warn("one is down"), Children: []health.Check{{Name: "m1", Ask: warn("another SIM (…1234)")}}},
	}}}}, health.Node{}, time.Now())
	got := plain(tree)
	modems := got.Children[0].Children[0]
	if modems.Name != "modems" || modems.State != health.Warn || modems.Cause != "" || len(modems.Children) != 0 {
		t.Errorf("a nurse sees %+v", modems)
	}
	if full := tree.Children[0].Children[0]; full.Cause == "" || len(full.Children) != 1 {
		t.Error("the tree of the others is cut as well")
	}
}
