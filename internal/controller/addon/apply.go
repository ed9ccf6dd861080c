package addon

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// apply brings every object that is not as it was applied. An object that is refused fails its own addon; the others go
// on.
func (r *Reconciler) apply(ctx context.Context, s *scope) (phase.Outcome, error) {
	for _, release := range s.releases {
		if release.Home {
			continue
		}
		for _, u := range release.Objects {
			err := r.applyOne(ctx, s, u)
			if err != nil && unreachable(err) {
				return phase.Done(), err
			}
			if err != nil && s.failed[release.Name] == "" {
				s.failed[release.Name] = oneLine(err.Error())
			}
		}
	}
	return phase.Done(), nil
}

func (r *Reconciler) applyOne(ctx context.Context, s *scope, u *unstructured.Unstructured) error {
	text, err := json.Marshal(u.Object)
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	key, wanted := refOf(u), sha256.Sum256(text)
	s.session.mu.Lock()
	was, known := s.session.applied[key]
	s.session.mu.Unlock()
	if known && was.wanted == wanted {
		return nil
	}
	out, err := bring(ctx, s, u)
	if err != nil {
		return err
	}
	if u.GetKind() == "CustomResourceDefinition" {
		s.session.cluster.Forget()
	}
	s.session.mu.Lock()
	s.session.applied[key] = applied{wanted: wanted, generation: out.GetGeneration(), version: out.GetResourceVersion()}
	s.session.mu.Unlock()
	return nil
}

// watch follows each kind that was applied.
func (r *Reconciler) watch(ctx context.Context, s *scope) (phase.Outcome, error) {
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	if s.session.lost != nil {
		s.log.InfoContext(ctx, "objects of addons are not watched for the moment", "error", oneLine(s.session.lost.Error()))
	}
	for key := range s.session.applied {
		if !s.session.watched[key.kind] {
			s.session.watched[key.kind] = true
			go s.session.cluster.Watch(s.session.ctx, key.kind, catalogue.Label, s.session)
		}
	}
	return phase.Done(), nil
}

// lookAgain is when pods of what is not available are looked at again. A cluster that is well is never asked.
const lookAgain = 20 * time.Second

// availability reads the workloads of each addon. The watch brings the next change.
func (r *Reconciler) availability(ctx context.Context, s *scope) (phase.Outcome, error) {
	s.waiting = map[string]string{}
	for _, release := range s.releases {
		for _, u := range release.Objects {
			if !catalogue.Watched(u.GetKind()) || s.waiting[release.Name] != "" {
				continue
			}
			look := r.waitsThere
			if release.Home {
				look = r.waitsAtHome
			}
			why, err := look(ctx, s, u)
			if err != nil {
				return phase.Done(), err
			}
			if why != "" {
				s.waiting[release.Name] = why
			}
		}
	}
	if len(s.waiting) > 0 { // kubelets say why in pods, which nobody watches
		return phase.WaitFor(lookAgain, "some addons are not available"), nil
	}
	if len(s.failed) > 0 { // what was refused may be accepted later, and no event says when
		return phase.WaitFor(againLast, "some addons cannot be applied"), nil
	}
	return phase.Done(), nil
}

// waitsThere says why a workload of the workload cluster is not available; "" when it is.
func (r *Reconciler) waitsThere(ctx context.Context, s *scope, u *unstructured.Unstructured) (string, error) {
	have, err := s.session.cluster.Get(ctx, u.GroupVersionKind(), u.GetNamespace(), u.GetName())
	if err != nil {
		return "", err
	}
	if have == nil {
		return u.GetKind() + " " + u.GetName() + " is not there", nil
	}
	_, why := catalogue.Available(have)
	if why == "" {
		return "", nil
	}
	pods, err := s.session.cluster.PodsOf(ctx, have)
	if err != nil {
		return "", err
	}
	if trouble := catalogue.Trouble(pods); trouble != "" {
		why += "; " + oneLine(trouble) // the tenant may write into a pod's status what he likes
	}
	return why, nil
}

// oneLine is a text for a status: one line of bounded length, with nothing in it that moves a terminal's cursor. It is
// often a tenant's.
func oneLine(text string) string {
	printable := func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsPrint(r) {
			return r
		}
		return -1
	}
	return magnum.Shorten(strings.Join(strings.Fields(strings.Map(printable, text)), " "), 500)
}
