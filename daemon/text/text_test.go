package text

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"
)

func reminder() Values {
	v := Values{}
	v.SetBrand("Riverside")
	v.SetSite("Main St 12")
	v.SetPhone("617-555-1000")
	v.SetInstant("start", time.Date(2026, 11, 26, 19, 30, 0, 0, time.UTC))
	return v
}

func code(code string) Values {
	v := Values{}
	v.SetBrand("Riverside")
	v.SetCode(code)
	v.SetMinutes(5 * time.Minute)
	return v
}

func shippedIn(t *testing.T, name, lang string) Template {
	t.Helper()
	tm, ok := builtin(name, lang)
	if !ok {
		t.Fatalf("no %s/%s", name, lang)
	}
	return tm
}

func TestRender(t *testing.T) {
	boston, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	login := code("482917")
	login.SetPurpose("login")
	login.SetWarning(DoNotShare)
	pay := code("482917")
	pay.SetAmount(125000, "Riverside")
	for _, c := range []struct {
		name, lang string
		v          Values
		want       string
	}{
		{"appointment.reminder", "en", reminder(), "Riverside: You have a visit at Main St 12 on Thu Nov 26, 2:30 PM. Questions? 617-555-1000. Reply STOP to opt out."},
		{"appointment.reminder", "es", reminder(), "Riverside: Su cita: Main St 12, 26 de noviembre, 2:30 p.m. Tel. 617-555-1000. Responda STOP para salir."},
		{"verification", "en", login, "Riverside: 482917 is your code to sign in. Valid 5 min. Do not share it."},
		{"verification", "es", login, "Riverside: 482917 es su clave para entrar. Vence en 5 min. No la comparta."},
		{"verification", "en", code("0042"), "Riverside: 0042 is your code. Valid 5 min."},
		{"verification.billing", "en", pay, "Riverside: 482917 approves $1,250.00 to Riverside. Valid 5 min."},
	} {
		if got, err := Render(shippedIn(t, c.name, c.lang), c.v, boston); err != nil || got != c.want {
			t.Errorf("%s/%s:\n got %q, %v\nwant %q", c.name, c.lang, got, err, c.want)
		}
	}
}

// TestCodeIsTheOnlyGroupOfItsLength: phones fill in, and people type, the first group that looks
// like a code.
func TestCodeIsTheOnlyGroupOfItsLength(t *testing.T) {
	for _, tm := range shipped {
		if tm.Class != Code {
			continue
		}
		for n := 4; n <= 10; n++ {
			v := code("4829175306"[:n])
			v.SetAmount(99999999, "Riverside")
			v.SetPurpose("login")
			v.SetWarning(DeskOnly)
			out, err := Render(tm, v, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			groups := 0
			for _, g := range regexp.MustCompile(`\d+`).FindAllString(out, -1) {
				if len(g) == n {
					groups++
				}
			}
			if groups != 1 {
				t.Errorf("%d groups of %d digits in %q", groups, n, out)
			}
		}
	}
	v := code("4829")
	v.SetPhone("617-555-1000")
	_, err := Render(Template{Lang: "en", Class: Code, Body: "{brand}: {code}. Call {phone}."}, v, time.UTC)
	if !reasonIs(err, "code", Ambiguous) {
		t.Errorf("a phone number beside a code of four digits: %v", err)
	}
}

func reasonIs(err error, slot string, reason SlotReason) bool {
	var e *SlotError
	return errors.As(err, &e) && e.Slot == slot && e.Reason == reason
}

func TestRenderRefuses(t *testing.T) {
	link := Template{Lang: "en", Body: "{brand}: {link} {stop}"}
	for name, c := range map[string]struct {
		t      Template
		set    func(Values)
		slot   string
		reason SlotReason
	}{
		"missing":               {Template{}, func(v Values) { delete(v, "site") }, "site", Missing},
		"no brand":              {Template{}, func(v Values) { v.SetBrand("") }, "brand", Missing},
		"specialty in brand":    {Template{}, func(v Values) { v.SetBrand("Riverside Oncology") }, "brand", Forbidden},
		"specialty in site":     {Template{}, func(v Values) { v.SetSite("Clínica de Psiquiatría") }, "site", Forbidden},
		"accents do not hide":   {Template{}, func(v Values) { v.SetSite("CÁNCER Center") }, "site", Forbidden},
		"digits in a label":     {Template{}, func(v Values) { v.SetSite("Room 482917") }, "site", BadShape},
		"link in a label":       {Template{}, func(v Values) { v.SetSite("http://x.example") }, "site", BadShape},
		"line break in a label": {Template{}, func(v Values) { v.SetSite("Main\nStreet") }, "site", BadShape},
		"long label":            {Template{}, func(v Values) { v.SetSite(strings.Repeat("x", MaxSite+1)) }, "site", TooLong},
		"words as a phone":      {Template{}, func(v Values) { v.SetPhone("call me") }, "phone", BadShape},
		"time in words":         {Template{}, func(v Values) { v["start"] = "tomorrow" }, "start", BadShape},
		"unknown purpose": {shippedIn(t, "verification", "en"), func(v Values) {
			v.SetCode("482917")
			v.SetPurpose("chemo")
		}, "purpose", BadShape},
		"letters as a code": {shippedIn(t, "verification", "en"), func(v Values) { v.SetCode("12345x") }, "code", BadShape},
		"bad hash": {shippedIn(t, "verification", "en"), func(v Values) {
			v.SetCode("482917")
			v.SetAndroid("short")
		}, "android", BadShape},
		"bad host": {shippedIn(t, "verification", "en"), func(v Values) {
			v.SetCode("482917")
			v.SetAutofill("portal.example/x")
		}, "autofill", BadShape},
		"both lines, too long": {shippedIn(t, "verification", "en"), func(v Values) {
			v.SetBrand(strings.Repeat("W", MaxBrand))
			v.SetCode("4829175306")
			v.SetPurpose("lab")
			v.SetWarning(DeskOnly)
			v.SetAndroid("FA+9qCX9VSu")
			v.SetAutofill(strings.Repeat("h", MaxHost-8) + ".example")
		}, "(body)", TooLong},
		"link without https":  {link, func(v Values) { v["link"] = "http://portal.example.org/x" }, "link", BadShape},
		"link with a user":    {link, func(v Values) { v["link"] = "https://portal.example.org@evil.example/x" }, "link", BadShape},
		"link to a clinic":    {link, func(v Values) { v["link"] = "https://hiv.example.org/x" }, "link", Forbidden},
		"link with a finding": {link, func(v Values) { v["link"] = "https://portal.example.org/lab/x" }, "link", Forbidden},
		"link of a mile":      {link, func(v Values) { v["link"] = "https://portal.example.org/" + strings.Repeat("x", 60) }, "link", TooLong},
	} {
		t.Run(name, func(t *testing.T) {
			tm := c.t
			if tm.Body == "" {
				tm = shippedIn(t, "appointment.reminder", "en")
			}
			v := reminder()
			v.SetMinutes(5 * time.Minute)
			c.set(v)
			out, err := Render(tm, v, time.UTC)
			if !reasonIs(err, c.slot, c.reason) || out != "" {
				t.Errorf("got %q, %v, want slot %s: %s", out, err, c.slot, c.reason)
			}
		})
	}
}

func TestLinkHosts(t *testing.T) {
	hosts := []string{"portal.example.org"}
	v := Values{}
	if err := v.SetLink("https://portal.example.org/j/x7Kp2", hosts); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"https://evil.example/", "https://portal.example.org.evil.example/", "https://portal.example.org:444/"} {
		if err := v.SetLink(bad, hosts); err == nil || v["link"] != "https://portal.example.org/j/x7Kp2" {
			t.Errorf("%s is allowed", bad)
		}
	}
	if err := v.SetLink("https://portal.example.org/", []string{}); !reasonIs(err, "link", BadHost) {
		t.Errorf("an empty list allows everything: %v", err)
	}
}

func TestFillTakesOnlyTypedSlots(t *testing.T) {
	tm := shippedIn(t, "appointment.reminder", "en")
	good := map[string]string{"site": "Main St 12", "start": "2026-11-26T14:30:00-05:00", "phone": "617-555-1000"}
	v, err := tm.Fill(good, nil)
	if err != nil || len(v) != 3 || v["site"] != "Main St 12" {
		t.Fatalf("%d slots, %v", len(v), err)
	}
	with := func(key, val string) map[string]string {
		m := map[string]string{}
		for k, v := range good {
			m[k] = v
		}
		m[key] = val
		return m
	}
	for name, c := range map[string]struct {
		raw    map[string]string
		slot   string
		reason SlotReason
	}{
		"missing":     {map[string]string{"site": "Main St 12"}, "start", Missing},
		"made up":     {with("Jane Doe has measles", "x"), "(not in template)", Unknown},
		"our brand":   {with("brand", "Evil"), "brand", Unknown},
		"free text":   {with("start", "call Jane"), "start", BadShape},
		"a specialty": {with("site", "Urology 2"), "site", Forbidden},
	} {
		if v, err := tm.Fill(c.raw, nil); !reasonIs(err, c.slot, c.reason) || v != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	result := shippedIn(t, "result.ready", "en")
	if _, err := result.Fill(map[string]string{"link": "https://evil.example/"}, []string{"portal.example.org"}); !reasonIs(err, "link", BadHost) {
		t.Errorf("a link elsewhere: %v", err)
	}
	if _, err := result.Fill(map[string]string{"link": "https://evil.example/"}, nil); !reasonIs(err, "link", BadHost) {
		t.Errorf("a site without a list of hosts allows every host: %v", err)
	}
}

// TestNothingShowsValues: errors and logs name slots only.
func TestNothingShowsValues(t *testing.T) {
	v := reminder()
	v.SetSite("planted-place")
	v.SetPhone("617-555-9999x")
	v.SetCode("482917")
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", v)
		fmt.Fprintf(&out, verb+"\n", struct{ V Values }{v})
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "slots", v)
	}
	_, err := Render(shippedIn(t, "appointment.reminder", "en"), v, time.UTC)
	fmt.Fprintln(&out, err, Guard(v, []string{"planted"}))
	for _, planted := range []string{"planted", "9999", "482917", fmt.Sprintf("%x", "482917")} {
		if strings.Contains(out.String(), planted) {
			t.Errorf("%q shows in:\n%s", planted, out.String())
		}
	}
	if err == nil || !strings.Contains(out.String(), "slots(") {
		t.Error("nothing was printed or refused")
	}
}
