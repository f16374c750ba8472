package daemon

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/intake"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// templateDoc is a template as the file has it. Version is for people: a changed text becomes the next one.
type templateDoc struct {
	Name       string     `json:"name"`
	Lang       string     `json:"lang"`
	Body       string     `json:"body"`
	Class      text.Class `json:"class"`
	Repeatable bool       `json:"repeatable,omitempty"`
	Spoken     bool       `json:"spoken,omitempty"`
	Replies    []string   `json:"replies,omitempty"`
	Version    int        `json:"version"`
	Reviewer   string     `json:"reviewer,omitempty"`
	Reviewed   time.Time  `json:"reviewed,omitzero"`
}

func (t templateDoc) key() string { return t.Name + "/" + strings.ToLower(t.Lang) }

// wording is what of a template a reviewer has read.
func (t templateDoc) wording() templateDoc {
	t.Version, t.Reviewer, t.Reviewed = 0, "", time.Time{}
	return t
}

func templatesOf(tx *store.Tx) ([]templateDoc, error) {
	list, err := text.List(tx)
	docs := []templateDoc{}
	for _, t := range list {
		docs = append(docs, templateDoc{t.Name, t.Lang, t.Body, t.Class, t.Repeatable, t.Spoken, t.Replies, t.Version, t.Reviewer, t.Reviewed.UTC()})
	}
	return docs, err
}

// readTemplates: one that the file has not goes out of force, and where one is shipped that holds again.
func readTemplates(p *piece, _ *box) (func(*store.Tx) error, error) {
	want, at := []templateDoc{}, map[string]*piece{}
	err := p.list(func(e *piece) error {
		var t templateDoc
		if err := e.decode(&t); err != nil {
			return err
		}
		if at[t.key()] != nil {
			return e.wrong(0, "%s is there twice", t.key())
		}
		want, at[t.key()] = append(want, t), e
		return nil
	})
	return func(tx *store.Tx) error {
		list, err := templatesOf(tx)
		if err != nil {
			return err
		}
		had := map[string]templateDoc{}
		for _, t := range list {
			had[t.key()] = t
			if at[t.key()] == nil && t.Version > 0 {
				if err := text.Withdraw(tx, t.Name, t.Lang); err != nil {
					return err
				}
			}
		}
		for _, t := range want {
			was, known := had[t.key()]
			read := was.Reviewer != t.Reviewer || !was.Reviewed.Equal(t.Reviewed)
			switch {
			case known && same(was.wording(), t.wording()) && !read:
				continue
			case known && !read: // who read the old wording has not read this one
				t.Reviewer, t.Reviewed = "", time.Time{}
			}
			_, err := text.Save(tx, text.Template{
				Name: t.Name, Lang: t.Lang, Body: t.Body, Class: t.Class, Repeatable: t.Repeatable, Spoken: t.Spoken, Replies: t.Replies, Reviewer: t.Reviewer, Reviewed: t.Reviewed,
			})
			if err != nil {
				return at[t.key()].refused(err)
			}
		}
		return nil
	}, err
}

// stepDoc is a step of a route as the file has it.
type stepDoc struct {
	outbox.Step
	Wait intake.Span `json:"wait,omitzero"`
}

// serviceDoc is a service as the file has it: with times that people can read.
type serviceDoc struct {
	otp.Service
	Life   intake.Span `json:"life"`
	Window intake.Span `json:"window,omitzero"`
	Route  []stepDoc   `json:"route"`
}

func servicesOf(tx *store.Tx) ([]serviceDoc, error) {
	list, err := otp.Services(tx)
	docs := []serviceDoc{}
	for _, s := range list {
		d := serviceDoc{Service: s, Life: intake.Span(s.Life), Window: intake.Span(s.Window)}
		for _, step := range s.Route {
			d.Route = append(d.Route, stepDoc{step, intake.Span(step.Wait)})
		}
		docs = append(docs, d)
	}
	return docs, err
}

// readServices: one that the file has not is as shipped. The site's own must be retired, for clients know it
// and verifications of it may be under way.
func readServices(p *piece, _ *box) (func(*store.Tx) error, error) {
	want, at := []serviceDoc{}, map[string]*piece{}
	err := p.list(func(e *piece) error {
		var d serviceDoc
		if err := e.decode(&d); err != nil {
			return err
		}
		if at[d.Name] != nil {
			return e.wrong(0, "%q is there twice", d.Name)
		}
		d.Service.Life, d.Service.Window, d.Service.Route = time.Duration(d.Life), time.Duration(d.Window), nil
		for _, s := range d.Route {
			s.Step.Wait = time.Duration(s.Wait)
			d.Service.Route = append(d.Service.Route, s.Step)
		}
		want, at[d.Name] = append(want, d), e
		return nil
	})
	return func(tx *store.Tx) error {
		list, err := otp.Services(tx)
		if err != nil {
			return err
		}
		had := map[string]otp.Service{}
		for _, s := range list {
			had[s.Name] = s
			if at[s.Name] != nil {
				continue
			}
			i := slices.IndexFunc(otp.Shipped(), func(o otp.Service) bool { return o.Name == s.Name })
			if i < 0 {
				return p.refused(fmt.Errorf("service %s is not in it: say \"retired\": true of one that is not wanted any more", s.Name))
			}
			if shipped := otp.Shipped()[i]; !same(shipped, s) {
				if _, err := otp.SaveService(tx, shipped); err != nil {
					return err
				}
			}
		}
		for _, d := range want {
			was, known := had[d.Name]
			if d.SID == "" {
				d.Service.SID = was.SID
			}
			if known && same(was, d.Service) {
				continue
			}
			if _, err := otp.SaveService(tx, d.Service); err != nil {
				return at[d.Name].refused(err)
			}
		}
		return nil
	}, err
}
