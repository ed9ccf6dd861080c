package controller_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestSlowRotationOfServiceAccounts: the key for tokens has no certificate, workers are replaced in the second step
// alone, and a rotation that failed goes on where it was as soon as it can.
func TestSlowRotationOfServiceAccounts(t *testing.T) {
	w := newWorld(t)
	c := w.create("tokens", 1, 1, nil)
	w.await(c.UUID, "creation", complete(magnum.CreateComplete))
	name := capi.KeyPairSecretName(c.StackID, capi.ServiceAccount)
	old, first := secretOf(t, name).Data, machines(t, c.StackID)
	w.rotate(c, magnum.AuthorityServiceAccount)

	w.step(t, name, "1.1")
	pause(t, c.StackID, true)
	if now := secretOf(t, name).Data; publicKeys(now) != 2 || !bytes.Equal(now[corev1.TLSPrivateKeyKey], old[corev1.TLSPrivateKeyKey]) {
		t.Errorf("step 1: %d keys are trusted, and the old one must sign", publicKeys(now))
	}
	w.later.Add(int64(2 * time.Hour)) // longer than create_timeout, and nothing comes nearer
	failed := w.await(c.UUID, "the failure", complete(magnum.UpdateFailed))
	if !strings.Contains(failed.StatusReason, "Rotation of service_account, step 1 of 3") {
		t.Errorf("the reason does not name the step: %q", failed.StatusReason)
	}
	if !failed.Rotating {
		t.Error("another rotation would be taken, which would find two keys where it expects one")
	}
	w.stop()
	pause(t, c.StackID, false)
	w.start()

	w.step(t, name, "1.2")
	for machine, group := range machines(t, c.StackID) {
		if _, same := first[machine]; same != (group != "") {
			t.Errorf("after step 1, machine %s of group %q is the same as before: %v", machine, group, same)
		}
	}
	if now := secretOf(t, name).Data; publicKeys(now) != 2 || bytes.Equal(now[corev1.TLSPrivateKeyKey], old[corev1.TLSPrivateKeyKey]) {
		t.Errorf("step 2: %d keys are trusted, and the new one must sign", publicKeys(now))
	}
	w.step(t, name, "1.3")
	second := machines(t, c.StackID)
	w.await(c.UUID, "the rotation", complete(magnum.UpdateComplete))
	for machine, group := range machines(t, c.StackID) {
		if _, same := first[machine]; same {
			t.Errorf("machine %s was not replaced", machine)
		}
		if _, same := second[machine]; same != (group != "") {
			t.Errorf("step 3 is the control plane's alone: machine %s of group %q is the same as in step 2: %v", machine, group, same)
		}
	}
	w.rotated(t, c, capi.ServiceAccount, old)
}

// TestSlowRotationOfThreeMasters: with two servers that both believe to lead, as two do for seconds after a pause of
// the first.
func TestSlowRotationOfThreeMasters(t *testing.T) {
	for _, tc := range []struct {
		authority magnum.Authority
		purpose   capi.Purpose
		workers   int
	}{
		{magnum.AuthorityKubernetes, capi.CA, 0}, // TestSlowRotation has workers
		{magnum.AuthorityServiceAccount, capi.ServiceAccount, 1},
	} {
		t.Run(string(tc.authority), func(t *testing.T) {
			w := newWorld(t)
			newWorld(t)
			c := w.create("three", 3, tc.workers, nil)
			w.await(c.UUID, "creation", complete(magnum.CreateComplete))
			old, first := secretOf(t, capi.KeyPairSecretName(c.StackID, tc.purpose)).Data, machines(t, c.StackID)
			begun := time.Now()
			w.rotate(c, tc.authority)
			for _, step := range []string{"1.1", "1.2", "1.3"} {
				w.step(t, capi.KeyPairSecretName(c.StackID, tc.purpose), step)
				t.Logf("step %s after %s", step, time.Since(begun).Round(time.Second))
			}
			w.await(c.UUID, "the rotation", complete(magnum.UpdateComplete))
			t.Logf("complete after %s", time.Since(begun).Round(time.Second))
			now := machines(t, c.StackID)
			if len(now) != len(first) {
				t.Errorf("%d machines, of %d", len(now), len(first))
			}
			for machine := range now {
				if _, same := first[machine]; same {
					t.Errorf("machine %s was not replaced", machine)
				}
			}
			w.rotated(t, c, tc.purpose, old)
		})
	}
}

// rotated checks what a rotation leaves: the new pair alone.
func (w *world) rotated(t *testing.T, c *magnum.Cluster, p capi.Purpose, old map[string][]byte) {
	t.Helper()
	now := secretOf(t, capi.KeyPairSecretName(c.StackID, p)).Data
	if publicKeys(now) != 1 || bytes.Contains(now[corev1.TLSCertKey], old[corev1.TLSCertKey]) || bytes.Equal(now[corev1.TLSPrivateKeyKey], old[corev1.TLSPrivateKeyKey]) {
		t.Errorf("%d keys are trusted at the end, and the old one must be none of them", publicKeys(now))
	}
	if s := secretOf(t, c.StackID+"-rotation"); len(s.Data) > 0 {
		t.Error("the old private key is kept")
	}
}

// publicKeys counts what a Secret of an authority trusts: certificates, or public keys.
func publicKeys(data map[string][]byte) int {
	return bytes.Count(data[corev1.TLSCertKey], []byte("-----BEGIN "))
}

// pause stops Cluster API's work on a cluster, or lets it go on.
func pause(t *testing.T, stack string, paused bool) {
	t.Helper()
	live := liveCluster(t, stack)
	base := live.DeepCopy()
	live.Spec.Paused = &paused
	if err := management.Client.Patch(t.Context(), live, client.MergeFrom(base)); err != nil {
		t.Fatal(err)
	}
}
