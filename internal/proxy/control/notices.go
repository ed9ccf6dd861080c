package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// notices says when one object changes, and nothing else. client-go's watch has a goroutine for each and keeps room for
// the largest event it has seen, several times over; the owner has as many watches as there are clusters, and nearly
// all are always silent.
type notices struct {
	body  io.ReadCloser
	chunk [256]byte
	begun []byte // of a line whose end is still to come, and what came after it
}

// noticeMost is the greatest length of one event of metadata: an object has 1.5 MiB at most (etcd).
const noticeMost = 2 << 20

// noticesOf begins with the object as it is, if there is one.
func noticesOf(ctx context.Context, c rest.Interface, resource, name string) (*notices, error) {
	seconds := int64(watchFor / time.Second)
	o := &metav1.ListOptions{Watch: true, TimeoutSeconds: &seconds, FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	body, err := c.Get().Namespace(Namespace).Resource(resource).VersionedParams(o, metav1.ParameterCodec).
		SetHeader("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").Stream(ctx)
	if err != nil {
		return nil, err
	}
	return &notices{body: body}, nil
}

func (n *notices) Close() { _ = n.body.Close() } // only read

// next waits until the object was made or changed. io.EOF is the end of a watch that has lasted as long as was asked
// for.
func (n *notices) next() error {
	for {
		line, err := n.line()
		if err != nil {
			return err
		}
		e := struct {
			Type   watch.EventType
			Object json.RawMessage
		}{}
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("the API server sent no event: %w", err)
		}
		switch e.Type {
		case watch.Added, watch.Modified:
			return nil
		case watch.Error:
			s := metav1.Status{}
			if err := json.Unmarshal(e.Object, &s); err != nil {
				return fmt.Errorf("the API server sent no status: %w", err)
			}
			return apierrors.FromObject(&s)
		case watch.Deleted, watch.Bookmark: // when it is made again, that is told
		}
	}
}

// line keeps nothing while it waits but what belongs to the next line.
func (n *notices) line() ([]byte, error) {
	for {
		if line, rest, ok := bytes.Cut(n.begun, []byte{'\n'}); ok {
			n.begun = bytes.Clone(rest)
			return line, nil
		}
		if len(n.begun) > noticeMost {
			return nil, errors.New("the API server sent an event without an end")
		}
		got, err := n.body.Read(n.chunk[:])
		n.begun = append(n.begun, n.chunk[:got]...)
		if err != nil && got == 0 {
			return nil, err
		}
	}
}
