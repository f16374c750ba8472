package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"pinward/packaging/release"
)

// updateWorld is a machine with Debian's own dpkg on a root of its own. The daemon is played: it answers as the version
// whose file dpkg has put there, which is how the tests see that packages were really exchanged.
type updateWorld struct {
	t    *testing.T
	dir  string
	key  note.Signer
	u    *updater
	said bytes.Buffer
	// broken are versions whose daemon does not come up well.
	broken  map[string]standing
	backups int
	full    bool // no backup can be made
	active  string
	// crashes is how often systemd starts a broken daemon again between two looks, restarts how often it has in all.
	crashes, restarts int
	room              int // what dpkg may write into one file, in bytes, before the disk is full; 0 is all
}

// packageWeight is what a package here has in its largest file: more than a disk that is nearly full has room for.
const packageWeight = 1 << 20

const installedVersion = "usr/share/pinward/version"

func newUpdateWorld(t *testing.T, first string) *updateWorld {
	t.Helper()
	w := &updateWorld{t: t, dir: t.TempDir(), broken: map[string]standing{}, active: "active"}
	for _, d := range []string{"root/var/lib/dpkg/updates", "root/var/lib/dpkg/info", "packages", "updates"} {
		if err := os.MkdirAll(filepath.Join(w.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.write("root/var/lib/dpkg/status", "")
	secret, public, err := note.GenerateKey(nil, release.KeyName)
	if err != nil {
		t.Fatal(err)
	}
	if w.key, err = note.NewSigner(secret); err != nil {
		t.Fatal(err)
	}
	w.write("keys", "# of this test\n"+public+"\n")
	c := &client{socket: w.serve()}
	w.u = newUpdater(c)
	w.u.dir, w.u.keys, w.u.run, w.u.say, w.u.root = filepath.Join(w.dir, "updates"), filepath.Join(w.dir, "keys"), w.run, &w.said, true
	w.u.patience, w.u.steady = 300*time.Millisecond, 40*time.Millisecond
	if first != "" {
		if _, err := w.run(context.Background(), "dpkg", "-i", w.deb(first, "")); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *updateWorld) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// run is dpkg with a root of its own; there is no systemd.
func (w *updateWorld) run(ctx context.Context, name string, args ...string) (string, error) {
	switch name {
	case "dpkg":
		args = append([]string{"--root=" + w.dir + "/root", "--force-not-root,bad-path"}, args...)
	case "dpkg-query":
		args = append([]string{"--admindir=" + w.dir + "/root/var/lib/dpkg"}, args...)
	case "systemctl":
		if args[0] == "show" {
			if w.broken[w.version()].State != "" {
				w.restarts += w.crashes
			}
			return fmt.Sprint(w.restarts), nil
		}
		return w.active, nil
	default:
		return "", exec.ErrNotFound
	}
	if name == "dpkg" && w.room > 0 {
		name, args = "env", append([]string{"--ignore-signal=XFSZ", "prlimit", "--fsize=" + fmt.Sprint(w.room), name}, args...)
	}
	if os.Geteuid() != 0 {
		name, args = "unshare", append([]string{"-r", name}, args...)
	}
	return runProgram(ctx, name, args...)
}

// version is what dpkg has put on the disk.
func (w *updateWorld) version() string {
	b, err := os.ReadFile(filepath.Join(w.dir, "root", installedVersion))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// serve plays the control socket of the daemon.
func (w *updateWorld) serve() string {
	sock := filepath.Join(w.dir, "s")
	l, err := net.Listen("unix", sock)
	if err != nil {
		w.t.Fatal(err)
	}
	m := http.NewServeMux()
	m.HandleFunc("GET /status", func(rw http.ResponseWriter, _ *http.Request) {
		st, odd := w.broken[w.version()]
		if !odd {
			st = standing{State: "open", Unseal: "tpm", Health: node{Name: "pinward", State: "ok"}}
		}
		if st.Version == "" {
			st.Version = w.version()
		}
		_ = json.NewEncoder(rw).Encode(st)
	})
	m.HandleFunc("POST /backup/run", func(rw http.ResponseWriter, _ *http.Request) {
		if w.full {
			http.Error(rw, `{"error":"the disk is full"}`, http.StatusConflict)
			return
		}
		w.backups++
		fmt.Fprint(rw, `{"file":"/backups/one"}`)
	})
	srv := &http.Server{Handler: m}
	go srv.Serve(l)
	w.t.Cleanup(func() { srv.Close() })
	return sock
}

// deb builds a package of a version with Debian's own tool.
func (w *updateWorld) deb(version, depends string) string {
	w.t.Helper()
	tree := filepath.Join(w.dir, "tree-"+version)
	control := fmt.Sprintf("Package: pinward\nVersion: %s\nArchitecture: %s\nMaintainer: x <x@pinward.example>\nDescription: x\n", version, runtime.GOARCH)
	if depends != "" {
		control += "Depends: " + depends + "\n"
	}
	w.write("tree-"+version+"/DEBIAN/control", control)
	w.write("tree-"+version+"/"+installedVersion, version+"\n")
	w.write("tree-"+version+"/usr/share/pinward/weight", strings.Repeat(version, packageWeight/len(version)))
	out := filepath.Join(w.dir, "packages", "pinward_"+version+"_"+runtime.GOARCH+".deb")
	if b, err := exec.Command("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, out).CombinedOutput(); err != nil {
		w.t.Fatalf("dpkg-deb: %v: %s", err, b)
	}
	return out
}

// bundle makes a signed bundle of a version.
func (w *updateWorld) bundle(version, depends string) string {
	w.t.Helper()
	deb := w.deb(version, depends)
	b, err := os.ReadFile(deb)
	if err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	m := release.Manifest{Version: version, Made: time.Now(), Packages: []release.Package{{
		Name: "pinward", Arch: runtime.GOARCH, Format: release.Deb, File: filepath.Base(deb), Size: int64(len(b)), SHA256: hex.EncodeToString(sum[:]),
	}}}
	var out bytes.Buffer
	if err := release.Write(&out, m, w.key, func(string) (io.ReadCloser, error) { return os.Open(deb) }); err != nil {
		w.t.Fatal(err)
	}
	return w.write("pinward-"+version+".bundle", out.String())
}

// do runs the command as an operator types it.
func (w *updateWorld) do(args ...string) error {
	w.t.Helper()
	w.said.Reset()
	cmd := w.u.command()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	return cmd.ExecuteContext(w.t.Context())
}

func (w *updateWorld) refused(want string, args ...string) {
	w.t.Helper()
	was := w.version()
	err := w.do(args...)
	if err == nil || !strings.Contains(err.Error(), want) {
		w.t.Errorf("%v: %v, want %q", args, err, want)
	}
	if now := w.version(); now != was {
		w.t.Errorf("%v was refused, and version %s is installed now", args, now)
	}
}

func (w *updateWorld) is(version string) {
	w.t.Helper()
	if got := w.version(); got != version {
		w.t.Errorf("dpkg has version %q on the disk, want %q; said:\n%s", got, version, w.said.String())
	}
}
