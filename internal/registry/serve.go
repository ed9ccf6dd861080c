package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Handler serves a layout's images under /v2/, read-only, as the OCI distribution specification 1.1 describes it. alias
// gives further full names (registry part included or not) under which an image can be asked for; it may be nil. What
// the layout has when Handler is called is what is served.
func Handler(l *Layout, alias func(reference string) []string) (http.Handler, error) {
	descriptors, err := l.descriptors()
	if err != nil {
		return nil, err
	}
	s := &server{layout: l, repositories: map[string]map[string]v1.Descriptor{}, blobs: map[string]string{}}
	for _, d := range descriptors {
		blobs, err := l.blobs(d)
		if err != nil {
			return nil, err
		}
		for _, b := range blobs {
			s.blobs[b.Digest.String()] = "application/octet-stream"
		}
		s.blobs[d.Digest.String()] = string(d.MediaType)
		names := []string{d.Annotations[annotationName]}
		if alias != nil {
			names = append(names, alias(names[0])...)
		}
		for _, n := range names {
			if err := s.add(n, d); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

type server struct {
	layout       *Layout
	repositories map[string]map[string]v1.Descriptor // repository -> tag -> manifest
	blobs        map[string]string                   // digest -> media type
}

func (s *server) add(full string, d v1.Descriptor) error {
	repository, tag, ok := cutTag(full)
	if !ok {
		return fmt.Errorf("image %s has no tag", full)
	}
	if s.repositories[repository] == nil {
		s.repositories[repository] = map[string]v1.Descriptor{}
	}
	if other, taken := s.repositories[repository][tag]; taken && other.Digest != d.Digest {
		return fmt.Errorf("two images are called %s: %s and %s", full, other.Annotations[annotationName], d.Annotations[annotationName])
	}
	s.repositories[repository][tag] = d
	return nil
}

func cutTag(full string) (repository, tag string, ok bool) {
	i := strings.LastIndexByte(full, ':')
	if i < 0 || strings.ContainsRune(full[i:], '/') {
		return "", "", false
	}
	return full[:i], full[i+1:], true
}

// request is what a path under /v2/ asks for.
type request struct {
	repository string
	kind       string // "manifests", "blobs", "tags"
	reference  string // tag or digest; "list" for tags
}

// parsePath cuts /v2/<repository>/<kind>/<reference>. A repository may have parts called "blobs", so the cut is from
// the end.
func parsePath(path string) (request, bool) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok || len(rest) > 512 {
		return request{}, false
	}
	parts := strings.Split(rest, "/")
	if len(parts) < 3 {
		return request{}, false
	}
	r := request{repository: strings.Join(parts[:len(parts)-2], "/"), kind: parts[len(parts)-2], reference: parts[len(parts)-1]}
	if r.reference == "" || slices.Contains(parts, "") || slices.Contains(parts, "..") || slices.Contains(parts, ".") {
		return request{}, false
	}
	switch r.kind {
	case "manifests", "blobs":
		return r, true
	case "tags":
		return r, r.reference == "list"
	}
	return request{}, false
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read-only")
		return
	}
	if r.URL.Path == "/v2/" || r.URL.Path == "/v2" {
		writeJSON(w, http.StatusOK, struct{}{})
		return
	}
	asked, ok := parsePath(r.URL.Path)
	if !ok {
		refuse(w, http.StatusNotFound, "NAME_INVALID", "not a path of a registry")
		return
	}
	tags, ok := s.find(asked.repository, r.URL.Query().Get("ns"))
	if !ok {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "the bundle has no repository "+asked.repository)
		return
	}
	switch asked.kind {
	case "tags":
		names := make([]string, 0, len(tags))
		for t := range tags {
			names = append(names, t)
		}
		slices.Sort(names)
		writeJSON(w, http.StatusOK, map[string]any{"name": asked.repository, "tags": names})
	case "manifests":
		s.manifest(w, r, tags, asked.reference)
	case "blobs":
		s.blob(w, r, asked.reference)
	}
}

// find looks for a repository as the mirror of a registry (containerd adds ?ns=registry), then by its own name, then
// with the docker.io names written out.
func (s *server) find(repository, mirrored string) (map[string]v1.Descriptor, bool) {
	for _, n := range []string{mirrored + "/" + repository, repository} {
		if tags, ok := s.repositories[n]; ok {
			return tags, true
		}
	}
	if full, err := name.NewRepository(repository); err == nil {
		if tags, ok := s.repositories[full.Name()]; ok {
			return tags, true
		}
	}
	return nil, false
}

func (s *server) manifest(w http.ResponseWriter, r *http.Request, tags map[string]v1.Descriptor, reference string) {
	d, ok := tags[reference]
	if !ok {
		for _, other := range tags {
			if other.Digest.String() == reference {
				d, ok = other, true
			}
		}
	}
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "the bundle has no such tag or digest: "+reference)
		return
	}
	s.send(w, r, d.Digest, string(d.MediaType))
}

func (s *server) blob(w http.ResponseWriter, r *http.Request, reference string) {
	digest, err := v1.NewHash(reference)
	if err != nil {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "not a digest")
		return
	}
	if _, ok := s.blobs[digest.String()]; !ok {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "the bundle has no such blob")
		return
	}
	s.send(w, r, digest, "application/octet-stream")
}

// send serves a blob, in parts if asked to: a pull that broke off goes on.
func (s *server) send(w http.ResponseWriter, r *http.Request, digest v1.Hash, mediaType string) {
	f, err := os.Open(filepath.Join(s.layout.dir, "blobs", digest.Algorithm, digest.Hex))
	if err != nil {
		refuse(w, http.StatusInternalServerError, "BLOB_UNKNOWN", "the blob is missing from the bundle: run jeroboam bundle verify")
		return
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		refuse(w, http.StatusInternalServerError, "BLOB_UNKNOWN", "the blob cannot be read: run jeroboam bundle verify")
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.Header().Set("Etag", `"`+digest.String()+`"`)
	http.ServeContent(w, r, "", info.ModTime(), f)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone
}
