package host_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// A look by shell script tells what an agent would tell, word for word.
func TestGlance(t *testing.T) {
	dir := t.TempDir()
	m := &host.Machine{Exec: host.Run, Now: time.Now}
	bin := filepath.Join(dir, "bin")
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	up := uptime(t)
	write("bin/systemctl", fmt.Sprintf(`#!/bin/sh
case "$2" in
p@a.service) printf 'LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nExecMainStartTimestampMonotonic=%d\n' ;;
gone.service) printf 'LoadState=not-found\nActiveState=inactive\n' ;;
*) printf 'LoadState=loaded\nUnitFileState=disabled\nActiveState=inactive\nExecMainStartTimestampMonotonic=0\n' ;;
esac
`, (up-time.Minute).Microseconds()), 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	ca, err := pki.NewCA(rand.Reader, time.Now(), "kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	tokenFile := kubeconfig(t, ca.CertPEM, clientcmdapi.AuthInfo{Token: token("system:serviceaccount:a:b", "u1", now.Add(100*24*time.Hour))})
	older := write("older", "x", 0o644)
	if err := os.Chtimes(older, now.Add(-time.Hour), now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("older", link); err != nil {
		t.Fatal(err)
	}
	cred := host.Credential{Path: write("cred", tokenFile, 0o600), Server: "https://vip:6443", User: "system:serviceaccount:a:b", Before: time.Hour}
	broken := cred
	broken.Path = write("broken", "x: [", 0o640)
	gone := cred
	gone.Path = dir + "/no credential"
	items := []host.Item{
		{File: &host.File{Path: write("text", "one\ntwo 'quoted'\n", 0o644)}},
		{File: &host.File{Path: write("with a space and 'quotes' $x", "y", 0o600)}},
		{File: &host.File{Path: write("empty", "", 0o755)}},
		{File: &host.File{Path: write("secret", "hunter2", 0o640), Secret: true}},
		{File: &host.File{Path: write("blob", "program", 0o755), Blob: "sha256:00"}},
		{File: &host.File{Path: write("big", strings.Repeat("x", 70<<10), 0o644)}},
		{File: &host.File{Path: dir, Dir: true}},
		{File: &host.File{Path: link}},
		{File: &host.File{Path: dir + "/nothing"}},
		{File: &host.File{Path: older + "/below a file"}},
		{File: &host.File{Path: write("once", "z", 0o644), Once: true}},
		{Credential: &cred},
		{Credential: &broken},
		{Credential: &gone},
		{User: &host.User{Name: "root"}},
		{User: &host.User{Name: "nobody-at-all"}},
		{Unit: &host.Unit{Name: "p@a.service", Enabled: true, Active: true, Uses: []string{older}}},
		{Unit: &host.Unit{Name: "p@a.service", Enabled: true, Active: true, Uses: []string{older, dir + "/text"}}},
		{Unit: &host.Unit{Name: "gone.service", Active: true}},
		{Unit: &host.Unit{Name: "idle.service", Gone: true}},
		{Relay: &host.Relay{Template: "p@", Uses: []string{older}}},
		{Relay: &host.Relay{Template: "p@", Uses: []string{dir + "/text"}}},
		{Relay: &host.Relay{Template: "q@"}},
	}
	if !host.Glanceable(items) {
		t.Fatal("some of them cannot be looked at")
	}
	want, err := host.Observe(t.Context(), m, items)
	if err != nil {
		t.Fatal(err)
	}
	script := ""
	got, err := host.Glance(t.Context(), items, func(ctx context.Context, text string) (string, error) {
		script = text
		cmd := exec.CommandContext(ctx, "sh", "-s")
		var errs bytes.Buffer
		cmd.Stdin, cmd.Stderr = strings.NewReader(text), &errs
		out, err := cmd.Output()
		if errs.Len() > 0 {
			t.Errorf("the shell complained: %s", errs.String())
		}
		return string(out), err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	for n := range items {
		if diff := cmp.Diff(want[n], got[n]); diff != "" {
			t.Errorf("%s: %s", items[n].Key(), diff)
		}
	}
	if got[16]["current"] != "yes" || got[17]["current"] != "no" || got[20]["current"] != "yes" {
		t.Errorf("what is newer than a unit: %v %v %v", got[16], got[17], got[20])
	}
	if host.Glanceable([]host.Item{{Container: &host.Container{}}}) {
		t.Error("a container cannot be looked at so")
	}
	const clock = "T 1764000000.0 1000.0\n"
	for _, out := range []string{"", "E\n", "T x y\nE\n", clock, clock + "Motd: welcome\nE\n", clock + "F !! 81a4\nE\n", clock + "F eA== 81a4 644\nE\n", clock + "U cEBhLnNlcnZpY2U= \nE\n"} {
		if facts, err := host.Glance(t.Context(), items[16:17], func(context.Context, string) (string, error) { return out, nil }); err == nil {
			t.Errorf("%q was taken for an answer: %v", out, facts)
		}
	}
}
