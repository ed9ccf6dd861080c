package control

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// TestNotices: a real watch says when its Secret is made or changed, and is silent about others and about its end.
func TestNotices(t *testing.T) {
	c, err := connect(management.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := kube.EnsureNamespace(t.Context(), management.Client, Namespace); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	n, err := noticesOf(ctx, c.core, "secrets", "kube-a-kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	told, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			if err := n.next(); err != nil {
				ended <- err
				return
			}
			told <- struct{}{}
		}
	}()
	secret := func(name string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name}, Data: map[string][]byte{"value": []byte(strings.Repeat("x", 5000))}}
	}
	s, other := secret("kube-a-kubeconfig"), secret("kube-b-kubeconfig")
	for _, step := range []struct {
		name string
		do   func() error
		told bool
	}{
		{"another is made", func() error { return c.client.Create(ctx, other) }, false},
		{"made", func() error { return c.client.Create(ctx, s) }, true},
		{"changed", func() error { s.Data["value"] = []byte("y"); return c.client.Update(ctx, s) }, true},
		{"deleted", func() error { return c.client.Delete(ctx, s) }, false},
		{"made again", func() error { s = secret("kube-a-kubeconfig"); return c.client.Create(ctx, s) }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if !step.told {
			continue // the next step would be told once too often
		}
		select {
		case <-told:
		case err := <-ended:
			t.Fatalf("%s: the watch ended: %v", step.name, err)
		}
	}
	select {
	case <-told:
		t.Error("told of something that did not happen")
	case <-time.After(100 * time.Millisecond):
	}
	n.Close()
	if err := <-ended; err == nil {
		t.Error("a closed watch goes on")
	}
	n, err = noticesOf(ctx, c.core, "secrets", "kube-a-kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.next(); err != nil {
		t.Errorf("a watch begins with what is there: %v", err)
	}
	for _, o := range []*corev1.Secret{s, other} {
		if err := c.client.Delete(ctx, o); err != nil {
			t.Error(err)
		}
	}
}

// TestNoticesLines: events come in pieces, and what is no event is said.
func TestNoticesLines(t *testing.T) {
	const added = `{"type":"ADDED","object":{"metadata":{"name":"a"}}}` + "\n"
	const gone = `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}` + "\n"
	for _, tc := range []struct {
		reason, in string
		told       int
		end        func(error) bool
	}{
		{"the end of the time that was asked for", added + `{"type":"BOOKMARK","object":{}}` + "\n" + `{"type":"DELETED","object":{}}` + "\n" + added, 2, func(err error) bool { return errors.Is(err, io.EOF) }},
		{"cut in the middle", added + `{"type":"ADD`, 1, func(err error) bool { return errors.Is(err, io.EOF) }},
		{"the server's own word", added + gone, 1, apierrors.IsResourceExpired},
		{"no event at all", "<html>\n", 0, func(err error) bool { return err != nil && !errors.Is(err, io.EOF) }},
		{"no end of it", strings.Repeat("x", noticeMost+1000), 0, func(err error) bool { return err != nil && !errors.Is(err, io.EOF) }},
	} {
		for how, r := range map[string]io.Reader{"at once": strings.NewReader(tc.in), "in halves": iotest.HalfReader(strings.NewReader(tc.in)), "error with the last byte": iotest.DataErrReader(strings.NewReader(tc.in))} {
			n := &notices{body: io.NopCloser(r)}
			told, err := 0, error(nil)
			for ; err == nil && told < 10; told++ {
				err = n.next()
			}
			if told-1 != tc.told || !tc.end(err) {
				t.Errorf("%s, %s: told %d times, then %v; want %d times", tc.reason, how, told-1, err, tc.told)
			}
		}
	}
}
