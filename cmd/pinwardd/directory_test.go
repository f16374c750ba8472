package main

import (
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"pinward/daemon/directory/directorytest"
)

// hospital up | down | modify FILE is the hospital's directory: a real slapd, which the box reaches by the real relay alone.
// The first "up" starts the relay too, and connects the box to both before it starts.
func hospital(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	switch {
	case args[0] == "modify":
		ts.Check(w.ldap.Modify(ts.ReadFile(args[1])))
	case args[0] == "down":
		ts.Check(w.ldap.Stop())
	case w.ldap != nil:
		ts.Check(w.ldap.Run())
	default:
		ts.Check(os.Mkdir(w.path("ldap"), 0o700))
		s, err := directorytest.Start(w.path("ldap"), w.host)
		ts.Check(err)
		ts.Check(s.Run())
		w.ldap = s
		ts.Defer(func() { ts.Check(s.Stop()) })
		ts.Check(w.connectDirectory())
		ts.Defer(func() { w.kill(theRelay) })
	}
}

// connectDirectory runs the relay and writes what the box has to know.
func (w *world) connectDirectory() error {
	if err := os.WriteFile(w.path("relay.toml"), fmt.Appendf(nil, "[dial]\nldap = %q\nldap-start = %q\n", w.ldap.TLS, w.ldap.Plain), 0o600); err != nil {
		return err
	}
	if err := w.launch(theRelay, "relay", "-config", w.path("relay.toml"), "-socket", w.path("relay.sock")); err != nil {
		return err
	}
	if err := w.await(theRelay, func() bool { _, err := os.Stat(w.path("relay.sock")); return err == nil }); err != nil {
		return err
	}
	if err := os.Mkdir(w.path("credentials"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(w.path("credentials/directory"), []byte(directorytest.UserPassword), 0o600); err != nil {
		return err
	}
	w.env = append(w.env, "CREDENTIALS_DIRECTORY="+w.path("credentials"))
	return w.configure(func(text string) string {
		return text + fmt.Sprintf(`
[relay]
socket = %q

[directory]
kind = "ldap"
base = %q
user = %q
password = "directory"
ca = %q

[[directory.server]]
relay = "ldap"
tls = %q

[directory.roles]
nurse = [%q]
admin = [%q]
`, w.path("relay.sock"), directorytest.Base, directorytest.User, w.ldap.CA, directorytest.ServerName, directorytest.Nurses, directorytest.Admins)
	})
}
