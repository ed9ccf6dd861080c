package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// What one watch may cost in memory, however it is answered. client-go reads an event of any length into memory, and
// makes of a list of nothing ("{},{},...") a hundred times its size; so watches are read here, object by object, and of
// each only what Seen has.
const (
	mostOfOne  = 1 << 20  // bytes of one object's metadata: etcd takes 1.5 MiB of a whole object
	mostInAll  = 16 << 20 // bytes of a list
	mostListed = 10_000   // objects with the label
	mostKeys   = 16       // of the list itself; Kubernetes' have four
	keptBuffer = 64 << 10 // the buffer of a longer event is given back
)

// What is asked for of objects, in a watch and in a list (Kubernetes 1.36, apiserver's endpoints/handlers/negotiation).
const (
	metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	metadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
)

// found is an object as far as it is read.
type found struct {
	Metadata struct {
		Namespace       string `json:"namespace"`
		Name            string `json:"name"`
		ResourceVersion string `json:"resourceVersion"`
		Generation      int64  `json:"generation"`
	} `json:"metadata"`
}

func (f found) seen(kind schema.GroupVersionKind, gone bool) Seen {
	m := f.Metadata
	return Seen{Kind: kind, Namespace: m.Namespace, Name: m.Name, Generation: m.Generation, ResourceVersion: m.ResourceVersion, Gone: gone}
}

// pieces bounds an answer that is read piece by piece: each of them, and all together.
type pieces struct {
	io.Reader

	left, all int64
}

func (p *pieces) Read(b []byte) (int, error) {
	most := min(p.left, p.all)
	if most <= 0 {
		return 0, fmt.Errorf("an object of the answer is longer than %d KiB, or all are longer than %d MiB", mostOfOne>>10, mostInAll>>20)
	}
	n, err := p.Reader.Read(b[:min(int64(len(b)), most)])
	p.left -= int64(n)
	p.all -= int64(n)
	return n, err
}

// stream asks for what is read piece by piece; nil when a watch would begin at a version that is too old.
func (c *Cluster) stream(ctx context.Context, resource schema.GroupVersionResource, query url.Values) (io.ReadCloser, error) {
	where := c.base + "/apis/" + resource.Group + "/" + resource.Version + "/" + resource.Resource
	if resource.Group == "" {
		where = c.base + "/api/" + resource.Version + "/" + resource.Resource
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", metadataList)
	if query.Has("watch") {
		req.Header.Set("Accept", metadataOnly)
	}
	resp, err := c.streams.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusGone {
		return nil, nil
	}
	return nil, fmt.Errorf("the API server says %s", resp.Status)
}

// readEvents tells of a watch's events until it ends: with nil in order.
func readEvents(body io.Reader, kind schema.GroupVersionKind, told Watcher) error {
	in := &pieces{Reader: body, all: math.MaxInt64}
	dec := json.NewDecoder(in)
	for {
		var event struct {
			Type   watch.EventType `json:"type"`
			Object found           `json:"object"`
		}
		in.left = mostOfOne
		if err := dec.Decode(&event); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch event.Type {
		case watch.Added, watch.Modified, watch.Deleted:
			told.Changed(event.Object.seen(kind, event.Type == watch.Deleted))
		case watch.Error: // 410 when the version is too old to go on from
			return nil
		case watch.Bookmark:
		}
		if mostOfOne-in.left < keptBuffer {
			continue
		}
		rest, err := io.ReadAll(dec.Buffered())
		if err != nil {
			return err
		}
		dec = json.NewDecoder(io.MultiReader(bytes.NewReader(rest), in))
	}
}

var errNoList = errors.New("the answer is no list")

// readList reads a list object by object, so that what is not needed of them is let go at once.
func readList(body io.Reader, kind schema.GroupVersionKind) (version string, all []Seen, err error) {
	in := &pieces{Reader: body, left: mostOfOne, all: mostInAll}
	dec := json.NewDecoder(in)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return "", nil, errors.Join(errNoList, err)
	}
	for keys := 0; dec.More(); keys++ {
		in.left = mostOfOne
		key, err := dec.Token()
		if err != nil {
			return "", nil, err
		}
		if keys == mostKeys {
			return "", nil, errNoList
		}
		in.left = mostOfOne
		switch key {
		case "metadata":
			var m struct {
				ResourceVersion string `json:"resourceVersion"`
			}
			err = dec.Decode(&m)
			version = m.ResourceVersion
		case "items":
			all, err = readItems(in, dec, kind)
		default:
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return "", nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return "", nil, err // it broke off
	}
	if version == "" {
		return "", nil, errNoList
	}
	return version, all, nil
}

func readItems(in *pieces, dec *json.Decoder, kind schema.GroupVersionKind) ([]Seen, error) {
	t, err := dec.Token()
	if err != nil || t == nil { // null is a list without items
		return nil, err
	}
	if t != json.Delim('[') {
		return nil, errNoList
	}
	var all []Seen
	for dec.More() {
		if len(all) == mostListed {
			return nil, fmt.Errorf("more than %d objects have the label of addons", mostListed)
		}
		var o found
		in.left = mostOfOne
		if err := dec.Decode(&o); err != nil {
			return nil, err
		}
		all = append(all, o.seen(kind, false))
	}
	_, err = dec.Token()
	return all, err
}
