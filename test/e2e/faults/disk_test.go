package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// fill takes all the space that is left.
func fill(t *testing.T, dir string) (file string, bytes int64) {
	t.Helper()
	file = filepath.Join(dir, "somebody-elses-film")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	n, err := io.Copy(f, zeros{})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	return file, n
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// The disk of the data directory is full. Writes are refused in words and in time; what was answered with 2xx is there
// afterwards, and nothing of what was refused.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.data = mount(t, "320m")
	t.Cleanup(func() {
		if t.Failed() && s.process != nil {
			t.Logf("%s\n%s", s.stderr(), lastLines(filepath.Join(s.data, "allinone.log"), 15))
		}
	})
	s.start(t)
	u := s.as(t, "demo")
	template := u.template(t, "v1.34.2")
	there := u.create(t, "there", template, 1, 1)
	u.reaches(t, there, "CREATE_COMPLETE")

	file, n := fill(t, s.data)
	t.Logf("filled with %d MB", n>>20)
	accepted, refused := map[string]bool{template: true}, 0
	began := time.Now()
	for i := 0; s.running() && time.Since(began) < 2*time.Minute; i++ {
		name := fmt.Sprintf("full-%d", i)
		body := templateBody(name, "v1.34.2")
		body["labels"] = object{"kube_tag": "v1.34.2", "calico_ipv4pool": "10.200.0.0/16"}
		asked := time.Now()
		a, err := u.do(t.Context(), "POST", "/clustertemplates", body)
		if took := time.Since(asked); took > soonBound-time.Second {
			t.Errorf("write %d hung for %s: %d %v", i, took, a.status, err)
		}
		switch {
		case err != nil:
			refused++ // the process has ended, or ends
		case a.status == http.StatusCreated:
			accepted[name] = true
		case a.status == http.StatusServiceUnavailable, a.status == http.StatusInternalServerError:
			refused++
			if _, err := a.magnumError(); err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("a write on a full disk: %d %s", a.status, a.body)
		}
		if refused > 3 {
			break
		}
	}
	t.Logf("%d writes accepted and %d refused in %.1fs on the full disk", len(accepted)-1, refused, time.Since(began).Seconds())
	if refused == 0 {
		t.Fatal("the disk was full and every write was accepted: this test proves nothing")
	}

	if s.running() { // etcd has reported it, and the process is on its way out; or it is only the simulated cloud that cannot write
		select {
		case <-s.ended:
		case <-time.After(soonBound):
		}
	}
	again := !s.running()
	if again {
		t.Log("the process ended by itself: it recovers by a restart")
		s.fails(t, "no space left on device")
		s.begin(t)
		s.fails(t, s.data, "MB free", "free some space")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if again {
		s.start(t)
	}
	var list struct {
		ClusterTemplates []struct{ UUID, Name string }
	}
	u.want(t, http.StatusOK, "GET", "/clustertemplates", nil, &list)
	have := map[string]bool{}
	for _, x := range list.ClusterTemplates {
		have[x.Name], have[x.UUID] = true, true
	}
	for name := range accepted {
		if !have[name] {
			t.Errorf("template %s was answered with 201 and is not there", name)
		}
	}
	u.reaches(t, there, "CREATE_COMPLETE")
	await(t, "a cluster can be made again", clusterBound, func(ctx context.Context) (bool, string, error) {
		a, err := u.do(ctx, "POST", "/clusters", clusterBody("after", template, 1, 0))
		return a.status == http.StatusAccepted, string(a.body), err
	})
	u.reaches(t, "after", "CREATE_COMPLETE")
	s.wantExactly(t, u, asked{there, 1, 1, "v1.34.2"}, asked{u.show(t, "after").UUID, 1, 0, "v1.34.2"})
}

func (u *tenant) show(t *testing.T, ident string) cluster {
	t.Helper()
	var c cluster
	u.want(t, http.StatusOK, "GET", "/clusters/"+ident, nil, &c)
	return c
}
