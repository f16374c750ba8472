package api

import (
	"testing"

	"pinward/daemon/otp"
	"pinward/store"
)

// TestVerifyAmount: amount and payee are strings there, cents here, and bound to the check.
func TestVerifyAmount(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		s := serviceOf(t, "patient-signup")
		s.Amount, s.Template = true, "verification.billing"
		_, err := otp.SaveService(tx, s)
		return err
	})
	start, check := b.path("patient-signup", "/Verifications"), b.path("patient-signup", "/VerificationCheck")
	m := b.form("POST", start, "To", patientNumber, "Channel", "sms", "Amount", "$125.5", "Payee", "Riverside Clinic").want(201).json()
	if m["amount"] != "125.50" || m["payee"] != "Riverside Clinic" {
		t.Errorf("amount and payee are %v %v", m["amount"], m["payee"])
	}
	code := b.Code()
	b.form("POST", check, "To", patientNumber, "Code", code, "Amount", "1.00", "Payee", "Riverside Clinic").verifyError(400, 60206)
	if m := b.form("POST", check, "To", patientNumber, "Code", code, "Amount", "125.50", "Payee", "Riverside Clinic").want(200).json(); m["valid"] != true || m["amount"] != "125.50" {
		t.Errorf("the check is %v", m)
	}
}

// TestCents holds the reading of amounts.
func TestCents(t *testing.T) {
	for s, want := range map[string]int64{"": 0, "0": 0, "5": 500, "12.5": 1250, "$12.50": 1250, "999999999.99": 99999999999} {
		if n, err := cents(s); err != nil || n != want {
			t.Errorf("cents(%q) = %d, %v", s, n, err)
		}
	}
	for _, s := range []string{"-1", "1.234", "1,50", "1.-5", ".5", "1.", "$", "1e3", "12345678901234567890", "+1", "1.+5"} {
		if n, err := cents(s); err == nil {
			t.Errorf("cents(%q) = %d", s, n)
		}
	}
}
