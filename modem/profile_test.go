package modem

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page tells a buyer of each profile, and of each make what procurement lists mean.
func TestProfilePageKnowsEachProfile(t *testing.T) {
	b, err := os.ReadFile("profiles/README.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for name, p := range profiles() {
		if !strings.Contains(page, "| `"+name+"` |") {
			t.Errorf("%s is not on the page", name)
		}
		for _, m := range p.Models {
			if m = strings.TrimPrefix(m, "SIMCOM_"); !strings.Contains(page, m) {
				t.Errorf("%s: model %s is not on the page", name, m)
			}
		}
	}
	for _, word := range []string{"Section 889", "Covered List", "Huawei is covered", "1260H", "no legal advice", "Sources:"} {
		if !strings.Contains(page, word) {
			t.Errorf("the page does not say %q", word)
		}
	}
}

// A profile's expressions compile, its codes are codes, and its balance is told from other figures.
func TestProfilesBalance(t *testing.T) {
	for name, p := range profiles() {
		re, err := regexp.Compile(p.Balance.Amount)
		if err != nil || re.NumSubexp() < 1 {
			t.Errorf("%s: %v", name, err)
		}
		for _, code := range append([]string{p.Balance.Code}, values(p.Balance.Codes)...) {
			if _, err := p.ussdRequest(code); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for text, want := range map[string]string{
			"Balance: $10.00. Exp 12/31": "10.00", "Saldo 3,50 EUR": "3.50", "-0.25": "-0.25", "Credit 0.00": "0.00", "call 611": "", "v1.2.3": "",
			"Bal:100.00USD": "100.00",
		} {
			if got, ok := p.amount(text); got != want || ok != (want != "") {
				t.Errorf("%s: %q read as %q", name, text, got)
			}
		}
	}
	if spent("0.01") || !spent("0.00") || !spent("-3.50") || spent("x") {
		t.Error("what is spent")
	}
}

func values(m map[string]string) []string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	return out
}
