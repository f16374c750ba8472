package access

import (
	"context"
	"errors"

	"pinward/daemon/limit"
	"pinward/store"
)

// Attempt is a login under way: it begins in a transaction, has the password proved outside of any, and ends in another.
type Attempt struct {
	name, address string
	hash          PasswordHash // of the local account, zero for nobody's
	directory     *Directory   // nil for a name that is local, or nobody's
}

// BeginLogin begins one; directory is nil where there is none. A name that exists here is never looked up there. A try of the
// directory is counted before it is made, so that many at once are not more than there may be. It fails with
// *limit.Exceeded while there were too many.
func BeginLogin(tx *store.Tx, directory *Directory, name, address string) (Attempt, error) {
	a := Attempt{name: fold(name), address: address}
	hash, err := hashOf(tx, name, address)
	if err != nil || directory == nil || !validName(a.name) {
		a.hash = hash
		return a, err
	}
	u, err := FindUser(tx, name)
	if err == nil && !u.OfDirectory() {
		a.hash = hash
		return a, nil
	}
	if err != nil && !errors.Is(err, ErrNoUser) {
		return a, err
	}
	a.directory = directory
	return a, limit.Take(tx, directory.tries(), a.name)
}

// Proof is what came of a password.
type Proof struct {
	ok     bool
	answer Answer
}

// Prove has the password compared: with the local hash, or by the directory. It takes long, and belongs outside any transaction.
func (a Attempt) Prove(ctx context.Context, local *Passwords, password string) (p Proof, err error) {
	if a.directory == nil {
		p.ok, err = local.Verify(ctx, a.hash, password)
		return p, err
	}
	if password == "" || len(password) > MaxPassword {
		p.answer = Answer{Cause: "wrong password"}
		return p, nil
	}
	p.answer, err = a.directory.Login(ctx, a.name, password)
	return p, err
}

// EndLogin ends it with a session, or with a refusal in the sense of Refusal, which is counted and recorded: tx has to commit.
func EndLogin(tx *store.Tx, a Attempt, p Proof) (Session, string, error) {
	if a.directory == nil {
		return Login(tx, a.name, a.address, p.ok)
	}
	budget, answer := a.directory.tries(), p.answer
	if !answer.Shown {
		if err := limit.Give(tx, budget, a.name); err != nil {
			return Session{}, "", err
		}
	}
	var u User
	roles := a.directory.Rules.Roles(answer.Person.Groups)
	switch local, err := FindUser(tx, answer.Person.Name); {
	case !answer.OK:
	case err != nil && !errors.Is(err, ErrNoUser):
		return Session{}, "", err
	case err == nil && !local.OfDirectory(): // made while the directory was asked
		answer = Answer{Cause: "the name is a local account's"}
	case answer.Person.ID == "" || !validName(answer.Person.Name):
		answer = Answer{Cause: "no usable name or id"}
	case len(roles) == 0:
		answer = Answer{Cause: "in no group with a role", Tell: ErrNoRole}
	default:
		if u, err = admit(tx, answer.Person, roles); err != nil {
			return Session{}, "", err
		}
		if u.Disabled {
			answer = Answer{Cause: "disabled", Tell: ErrBarred}
		}
	}
	if p.answer.OK {
		// As the directory does: whoever knows the password begins anew.
		if err := limit.Forget(tx, budget, a.name); err != nil {
			return Session{}, "", err
		}
	}
	if answer.OK {
		return newSession(tx, u)
	}
	return Session{}, "", refuseOfDirectory(tx, a, answer)
}

// refuseOfDirectory counts and records a login that came to nothing.
func refuseOfDirectory(tx *store.Tx, a Attempt, answer Answer) error {
	told := answer.Tell
	if told == nil {
		told = ErrDenied
	}
	innocent := errors.Is(told, ErrDirectory) || errors.Is(told, ErrTooMany)
	charge, key := loginsOfAddress, a.address
	if innocent {
		charge, key = unanswered, ""
	}
	if err := limit.Take(tx, charge, key); err != nil {
		if _, exceeded := errors.AsType[*limit.Exceeded](err); !exceeded {
			return err
		}
		if innocent {
			return told
		}
	}
	object := ""
	if u, err := FindUser(tx, a.name); err == nil {
		object = u.ActorID() // what was typed as an unknown name may be a password
	}
	err := tx.Record(store.Entry{Action: ActionLogin, Outcome: store.Refused, Object: object, Attrs: []store.Attr{
		{Key: "cause", Value: answer.Cause}, {Key: "address", Value: clip(a.address)}, byDirectory,
	}})
	if err != nil {
		return err
	}
	return told
}

// ActionDirectoryTest is the entry of an admin who asked the directory about somebody.
const ActionDirectoryTest store.Action = "directory.test"

// RecordTest records that the actor asked for a person, zero for one that was not found, and how.
func RecordTest(tx *store.Tx, p Person, how string) error {
	object := ""
	if p.ID != "" {
		object = actorOf(p.Name, p.ID)
	}
	return tx.Record(store.Entry{Action: ActionDirectoryTest, Outcome: store.OK, Object: object, Attrs: []store.Attr{{Key: "how", Value: how}}})
}

// EndTest ends an attempt by which nobody logs in, counts it as EndLogin does, and tells whether the password is right.
func EndTest(tx *store.Tx, a Attempt, p Proof) (verdict string, err error) {
	if a.directory == nil {
		return "", ErrInvalid
	}
	if verdict = p.answer.Cause; p.answer.OK {
		verdict = "right"
		if err := limit.Forget(tx, a.directory.tries(), a.name); err != nil {
			return "", err
		}
	}
	if !p.answer.Shown {
		err = limit.Give(tx, a.directory.tries(), a.name)
	}
	return verdict, err
}
