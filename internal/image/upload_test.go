package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
)

// glance is as much of Glance as an upload sees.
type glance struct {
	mu     sync.Mutex
	images []map[string]any
	data   map[string]string
	cut    bool // answers a 500 in the middle of an upload
	admin  bool
}

func (g *glance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	id := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v2/images/"), "/file")
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // to a test
	}
	switch {
	case r.Method == http.MethodGet:
		var found []map[string]any
		for _, i := range g.images {
			if i["name"] == r.URL.Query().Get("name") {
				found = append(found, i)
			}
		}
		answer(http.StatusOK, map[string]any{"images": found})
	case r.Method == http.MethodPost:
		image := map[string]any{}
		_ = json.NewDecoder(r.Body).Decode(&image) // of this test's own making
		if image["visibility"] == "public" && !g.admin {
			answer(http.StatusForbidden, map[string]any{"message": "no"})
			return
		}
		image["id"], image["status"] = fmt.Sprint("image-", len(g.images)+1), "queued"
		g.images = append(g.images, image)
		answer(http.StatusCreated, image)
	case r.Method == http.MethodPut && g.cut:
		_, _ = io.CopyN(io.Discard, r.Body, 3)
		answer(http.StatusInternalServerError, map[string]any{})
	case r.Method == http.MethodPut:
		text, _ := io.ReadAll(r.Body)
		g.data[id] = string(text)
		for _, i := range g.images {
			if i["id"] == id {
				i["status"] = "active"
			}
		}
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		g.images = slices.DeleteFunc(g.images, func(i map[string]any) bool { return i["id"] == id })
		w.WriteHeader(http.StatusNoContent)
	}
}

func uploadTo(t *testing.T, g *glance, public bool) UploadOptions {
	t.Helper()
	g.data = map[string]string{}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "node.raw")
	if err := os.WriteFile(file, []byte("a whole disk"), 0o644); err != nil {
		t.Fatal(err)
	}
	digest, size, err := fileDigest(file)
	if err != nil {
		t.Fatal(err)
	}
	p := Properties{
		OSDistro: "debian", OSVersion: "12", KubeVersion: "v1.36.4", Architecture: "x86_64", Kind: Container, Format: Raw, Size: size, DiskSize: 3 << 29, Digest: digest,
	}
	if err := p.write(file); err != nil {
		t.Fatal(err)
	}
	return UploadOptions{
		Glance: &gophercloud.ServiceClient{ProviderClient: &gophercloud.ProviderClient{}, Endpoint: server.URL + "/v2/"}, File: file, Name: "node", Public: public,
	}
}

func TestUpload(t *testing.T) {
	g := &glance{}
	o := uploadTo(t, g, false)
	var told []int64
	o.Progress = func(sent, total int64) { told = append(told, sent, total) }
	id, there, err := Upload(t.Context(), o)
	if err != nil || there || id != "image-1" {
		t.Fatal(id, there, err)
	}
	if g.data[id] != "a whole disk" || len(told) == 0 || told[len(told)-1] != 12 {
		t.Errorf("Glance has %q, we were told %v", g.data[id], told)
	}
	have := g.images[0]
	delete(have, digestProperty)
	want := map[string]any{
		"id": "image-1", "name": "node", "status": "active", "visibility": "private", "container_format": "bare", "disk_format": "raw", "min_disk": 2.0,
		"os_distro": "debian", "os_version": "12", "kube_version": "v1.36.4", "architecture": "x86_64",
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

func TestUploadAgain(t *testing.T) {
	g := &glance{}
	o := uploadTo(t, g, false)
	first, _, err := Upload(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if id, there, err := Upload(t.Context(), o); err != nil || !there || id != first {
		t.Errorf("the same image again: %s %t %v", id, there, err)
	}
	// Killed in the middle: the next one removes what is no image.
	g.images[0]["status"] = "saving"
	id, there, err := Upload(t.Context(), o)
	if err != nil || there || len(g.images) != 1 || g.images[0]["id"] != id {
		t.Errorf("after a kill: %s %t %v, and there are %v", id, there, err, g.images)
	}
}

func TestUploadFails(t *testing.T) {
	g := &glance{cut: true}
	o := uploadTo(t, g, false)
	if _, _, err := Upload(t.Context(), o); err == nil || len(g.images) != 0 {
		t.Errorf("an upload that is cut off: %v, and there are %v", err, g.images)
	}
	o = uploadTo(t, &glance{}, true)
	if _, _, err := Upload(t.Context(), o); err == nil || !strings.Contains(err.Error(), "may not make public images") {
		t.Errorf("public, as a member: %v", err)
	}
	if err := os.WriteFile(o.File, []byte("another disk"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Upload(t.Context(), o); err == nil || !strings.Contains(err.Error(), "build it again") {
		t.Errorf("properties of another image: %v", err)
	}
	if err := os.Remove(propertiesFile(o.File)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Upload(t.Context(), o); err == nil || !strings.Contains(err.Error(), "make it with jeroboam image build") {
		t.Errorf("no properties: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Upload(ctx, uploadTo(t, &glance{}, false)); err == nil {
		t.Error("a user who has given up waits")
	}
}
