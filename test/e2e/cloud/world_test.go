package cloud

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// world is the real cloud, with Jeroboam and Cluster API's provider in its network.
type world struct {
	dir     string // the cloud's
	program string // test/cloud, built
	state   string // the all-in-one's
	work    string // files of this test
	image   string // of nodes, in Glance
	tenant  string // whose clusters they are: an entry of clouds.yaml; what its project has is compared
	joined  bool   // the all-in-one was there before and stays
	process *allInOne
}

// place reads where things are: the Makefile says so.
func place(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skipf("%s is not set: \"make e2e-cloud\" runs this, after \"make cloud-up\" (root)", name)
	}
	return value
}

// newWorld brings the image of nodes into the cloud and starts the all-in-one there, or joins the one whose state
// directory ALLINONE_STATE names.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: place(t, "CLOUD_DIR"), program: place(t, "CLOUD_PROGRAM"), state: os.Getenv("ALLINONE_STATE"), work: t.TempDir(), image: nodeImage, tenant: cmp.Or(os.Getenv("TENANT"), "demo")}
	w.joined = w.state != ""
	w.upload(t, place(t, "NODE_IMAGE"), w.image)
	if !w.joined {
		w.state = t.TempDir()
		w.start(t)
		t.Cleanup(func() { w.stop(t) })
	}
	w.served(t)
	return w
}

// served waits for the Magnum API, and no longer than the all-in-one lives.
func (w *world) served(t *testing.T) {
	t.Helper()
	w.await(t, 3*time.Minute, "the Magnum API", func() error {
		if w.process != nil {
			select {
			case err := <-w.process.ended:
				w.process.ended <- err
				t.Fatalf("the all-in-one has ended: %v", err)
			default:
			}
		}
		_, err := w.openstack(t, w.tenant, "coe", "cluster", "list")
		return err
	})
}

// nodeImage is the image of nodes in Glance.
const nodeImage = "e2e-node"

// upload brings an image into Glance, unless one of that name is there.
func (w *world) upload(t *testing.T, file, name string) {
	t.Helper()
	w.mustExec(t, 5*time.Minute, "admin", "sh", "-c",
		"openstack image show "+name+" >/dev/null 2>&1 || "+place(t, "JEROBOAM")+" image upload "+file+" --name "+name+" --public")
}

// allInOne is the process with etcd, API server, Cluster API and Jeroboam in it.
type allInOne struct {
	cmd   *exec.Cmd
	log   string
	ended chan error
}

// start begins the all-in-one, or begins it again.
func (w *world) start(t *testing.T) {
	t.Helper()
	cmd := w.command(context.WithoutCancel(t.Context()), "", place(t, "ALLINONE"), "up", "--state-dir", w.state, "--cloud", filepath.Join(w.dir, "clouds.yaml"),
		"--address", "10.77.0.1", "--management-address", "10.77.0.1", "--no-first-cluster", "--addon-catalogue", place(t, "CATALOGUE"), "--debug", "127.0.0.1:6060")
	log, err := os.OpenFile(filepath.Join(w.work, "up.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.process = &allInOne{cmd, log.Name(), make(chan error, 1)}
	go func() { w.process.ended <- cmd.Wait() }()
}

// stop ends it as Ctrl-C does.
func (w *world) stop(t *testing.T) {
	t.Helper()
	if t.Failed() {
		text, _ := os.ReadFile(w.process.log) // only to be shown
		t.Logf("the all-in-one said:\n%s", text)
	}
	_ = w.process.cmd.Process.Signal(os.Interrupt) // it may have ended by itself
	select {
	case err := <-w.process.ended:
		if err != nil {
			t.Log(err)
		}
	case <-time.After(time.Minute):
		_ = w.process.cmd.Process.Kill() // it did not end when asked
		t.Error("the all-in-one did not end within a minute")
	}
}

// command runs in the cloud's network, as a user of its clouds.yaml.
func (w *world) command(ctx context.Context, user string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.program, append([]string{"exec", "--dir", w.dir, "--"}, args...)...)
	if user != "" {
		cmd.Env = append(os.Environ(), "OS_CLOUD="+user)
	}
	return cmd
}

func (w *world) exec(t *testing.T, limit time.Duration, user string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := w.command(ctx, user, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s%s", strings.Join(args, " "), err, out.String(), problems.String())
	}
	return out.String(), nil
}

func (w *world) mustExec(t *testing.T, limit time.Duration, user string, args ...string) string {
	t.Helper()
	out, err := w.exec(t, limit, user, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// openstack is Debian's client.
func (w *world) openstack(t *testing.T, user string, args ...string) (string, error) {
	t.Helper()
	return w.exec(t, 3*time.Minute, user, append([]string{"openstack"}, args...)...)
}

func (w *world) say(t *testing.T, user string, args ...string) string {
	t.Helper()
	out, err := w.openstack(t, user, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (w *world) await(t *testing.T, limit time.Duration, what string, ready func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := ready()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s: %v", what, limit, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(2 * time.Second):
		}
	}
}

var errNotYet = errors.New("not yet")
