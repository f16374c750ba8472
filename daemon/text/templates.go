package text

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pinward/store"
)

// ErrNoTemplate says that there is no template of that name, in no language.
var ErrNoTemplate = errors.New("no such template")

// ActionTemplate is recorded when a template is saved.
const ActionTemplate store.Action = "template.save"

var (
	// saved holds the newest version of each template that the site wrote, by name and language.
	saved = store.NewTable[Template]("text.templates", store.Policy(), store.Cached())
	// versions holds every version that ever was in force, so that the wording of an old text can be
	// told from the version in its entry.
	versions = store.NewTable[Template]("text.versions", store.Policy())
)

func templateKey(name, lang string) []byte { return []byte(name + "\x00" + strings.ToLower(lang)) }

func versionKey(name, lang string, version int) []byte {
	return fmt.Appendf(templateKey(name, lang), "\x00%08d", version)
}

// Find returns a template in the language asked for, else in its base language (es for es-US), else
// in English. In each the site's own stands before the shipped one.
func Find(tx *store.Tx, name, lang string) (Template, error) {
	for _, l := range []string{lang, base(lang), "en"} {
		if l == "" {
			continue
		}
		t, ok, err := saved.Get(tx, templateKey(name, l))
		if err != nil {
			return Template{}, fmt.Errorf("find template: %w", err)
		}
		if ok {
			return t, nil
		}
		if t, ok := builtin(name, l); ok {
			return t, nil
		}
	}
	return Template{}, fmt.Errorf("find template: %w", ErrNoTemplate)
}

func builtin(name, lang string) (Template, bool) {
	i := slices.IndexFunc(shipped, func(t Template) bool { return t.Name == name && strings.EqualFold(t.Lang, lang) })
	if i < 0 {
		return Template{}, false
	}
	return shipped[i], true
}

// List returns every template in force, by name and language.
func List(tx *store.Tx) ([]Template, error) {
	list := slices.Clone(shipped)
	err := saved.Each(tx, store.Range{}, func(_ []byte, t Template) error {
		same := func(s Template) bool { return s.Name == t.Name && strings.EqualFold(s.Lang, t.Lang) }
		list = append(slices.DeleteFunc(list, same), t)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	slices.SortFunc(list, func(a, b Template) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Lang, b.Lang))
	})
	return list, nil
}

// Save puts a template in force, as the version after the one known, read by the actor unless it
// names its reviewer. Lint's problems refuse it (*InvalidError). The entry bears the hash of the body;
// the body of each version is kept.
func Save(tx *store.Tx, t Template) (Template, error) {
	if problems := Lint(t); len(problems) > 0 {
		return Template{}, &InvalidError{problems}
	}
	last, err := lastVersion(tx, t.Name, t.Lang)
	if err != nil {
		return Template{}, err
	}
	t.Version = last + 1
	if t.Reviewer == "" {
		t.Reviewer = tx.Actor().ID
	}
	if t.Reviewed.IsZero() {
		t.Reviewed = tx.Now()
	}
	if err := saved.Put(tx, templateKey(t.Name, t.Lang), t); err != nil {
		return Template{}, fmt.Errorf("keep template: %w", err)
	}
	if err := versions.Put(tx, versionKey(t.Name, t.Lang, t.Version), t); err != nil {
		return Template{}, fmt.Errorf("keep template version: %w", err)
	}
	hash := sha256.Sum256([]byte(t.Body))
	err = tx.Record(store.Entry{Action: ActionTemplate, Outcome: store.OK, Object: t.Name + "/" + t.Lang, Attrs: []store.Attr{
		{Key: "version", Value: strconv.Itoa(t.Version)},
		{Key: "class", Value: string(t.Class)},
		{Key: "reviewer", Value: t.Reviewer},
		{Key: "sha256", Value: hex.EncodeToString(hash[:])},
	}})
	if err != nil {
		return Template{}, fmt.Errorf("record %s: %w", ActionTemplate, err)
	}
	return t, nil
}

// lastVersion is the newest version that ever was, 0 where only the shipped one was: it may be out of force.
func lastVersion(tx *store.Tx, name, lang string) (last int, err error) {
	err = versions.Each(tx, store.Range{Prefix: append(templateKey(name, lang), 0)}, func(_ []byte, t Template) error {
		last = max(last, t.Version)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("find template versions: %w", err)
	}
	return last, nil
}

// ActionWithdraw is recorded when a template is put out of force.
const ActionWithdraw store.Action = "template.withdraw"

// Withdraw puts the site's own template out of force; where one is shipped, that holds again. Its versions
// are kept. ErrNoTemplate says that the site has none of its own.
func Withdraw(tx *store.Tx, name, lang string) error {
	t, ok, err := saved.Get(tx, templateKey(name, lang))
	if err != nil {
		return fmt.Errorf("find template: %w", err)
	}
	if !ok {
		return fmt.Errorf("withdraw template: %w", ErrNoTemplate)
	}
	if err := saved.Delete(tx, templateKey(name, lang)); err != nil {
		return fmt.Errorf("withdraw template: %w", err)
	}
	return tx.Record(store.Entry{Action: ActionWithdraw, Outcome: store.OK, Object: t.Name + "/" + t.Lang, Attrs: []store.Attr{
		{Key: "version", Value: strconv.Itoa(t.Version)},
	}})
}

// FindVersion returns a template as it was in an earlier version; version 0 is the shipped one.
func FindVersion(tx *store.Tx, name, lang string, version int) (Template, error) {
	if version == 0 {
		if t, ok := builtin(name, lang); ok {
			return t, nil
		}
		return Template{}, fmt.Errorf("find template version: %w", ErrNoTemplate)
	}
	t, ok, err := versions.Get(tx, versionKey(name, lang, version))
	if err != nil {
		return Template{}, fmt.Errorf("find template version: %w", err)
	}
	if !ok {
		return Template{}, fmt.Errorf("find template version: %w", ErrNoTemplate)
	}
	return t, nil
}
