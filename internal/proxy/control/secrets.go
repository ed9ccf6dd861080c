package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kubeconfigs keeps the server in the kubeconfig Secrets of proxied clusters. Each Secret has a watch of its own, by
// name, as kubelets watch the Secrets of their pods: it is the only way to watch that does not need the right to read
// all Secrets.
//
// There is no fight with the kubeadm control plane. It writes the Secret when it makes it, with the address it knows,
// and again when the client certificate has lived half its life; then it keeps the server it finds (Cluster API 1.14:
// RegenerateSecret). Each write wakes the watch, and the server is put back within milliseconds, on the very state that
// was read. Whoever else insists on another server is answered more and more slowly, and the log says so.
//
// What is watched is metadata; the Secret is read when it has changed.
type kubeconfigs struct {
	client client.Client
	core   rest.Interface
	log    *slog.Logger
	retry  time.Duration // the longest pause after an error

	mu      sync.Mutex
	watches map[string]context.CancelFunc
	errs    map[string]error
	running sync.WaitGroup
}

func newKubeconfigs(c client.Client, core rest.Interface, log *slog.Logger) *kubeconfigs {
	return &kubeconfigs{client: c, core: core, log: log, retry: time.Minute, watches: map[string]context.CancelFunc{}, errs: map[string]error{}}
}

// keep follows the kubeconfig of one cluster from now on.
func (k *kubeconfigs) keep(ctx context.Context, stack string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.watches[stack] != nil || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	k.watches[stack] = cancel
	k.running.Go(func() { k.follow(ctx, stack) })
}

// drop stops following it.
func (k *kubeconfigs) drop(stack string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if cancel := k.watches[stack]; cancel != nil {
		cancel()
		delete(k.watches, stack)
		delete(k.errs, stack)
	}
}

// close stops all.
func (k *kubeconfigs) close() {
	k.mu.Lock()
	for stack, cancel := range k.watches {
		cancel()
		delete(k.watches, stack)
	}
	k.mu.Unlock()
	k.running.Wait()
}

func (k *kubeconfigs) err(stack string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.errs[stack]
}

func (k *kubeconfigs) fail(stack string, err error) (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.watches[stack] == nil {
		return false
	}
	old := k.errs[stack]
	k.errs[stack] = err
	return (old == nil) != (err == nil)
}

// follow watches one Secret until ctx ends.
func (k *kubeconfigs) follow(ctx context.Context, stack string) {
	wait := time.Second
	for {
		begin := time.Now()
		err := k.once(ctx, stack)
		if ctx.Err() != nil {
			return
		}
		if k.fail(stack, err) && err != nil {
			k.log.WarnContext(ctx, "a kubeconfig cannot be kept", "cluster", stack, "error", err)
		}
		if err == nil && time.Since(begin) > time.Second {
			wait = time.Second
			continue // the watch has lasted as long as was asked for
		}
		if pause(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, k.retry)
	}
}

// once is one watch: it begins with the Secret as it is, if there is one.
func (k *kubeconfigs) once(ctx context.Context, stack string) error {
	n, err := noticesOf(ctx, k.core, "secrets", SecretName(stack))
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%s: not allowed to; \"jeroboam proxy access\" gives this fleet the names of its clusters' kubeconfigs", SecretName(stack))
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", SecretName(stack), err)
	}
	defer n.Close()
	k.fail(stack, nil)
	patience := patience{now: time.Now}
	for {
		if err := n.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("watch %s: %w", SecretName(stack), err)
		}
		changed, err := k.write(ctx, stack)
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			continue // the watch is about to bring what it is now
		}
		if err != nil {
			return err
		}
		if changed {
			if wait := patience.next(); wait > 0 {
				k.log.WarnContext(ctx, "another writer keeps changing the server in a kubeconfig", "cluster", stack, "next", wait)
				if err := pause(ctx, wait); err != nil {
					return err
				}
			}
		}
	}
}

// write puts the server where it belongs. The Secret is changed only if it still is what was read.
func (k *kubeconfigs) write(ctx context.Context, stack string) (changed bool, err error) {
	s := &corev1.Secret{}
	if err := k.client.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: SecretName(stack)}, s); err != nil {
		return false, fmt.Errorf("read %s: %w", SecretName(stack), err)
	}
	if len(s.Data[kubeconfigKey]) == 0 {
		return false, nil // not filled in yet
	}
	text, changed, err := rewrite(s.Data[kubeconfigKey], stack, Server(stack))
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.Name, err)
	}
	if !changed {
		return false, nil
	}
	s.Data[kubeconfigKey] = text
	if err := k.client.Update(ctx, s); err != nil {
		return false, fmt.Errorf("write %s: %w", s.Name, err)
	}
	k.log.InfoContext(ctx, "kubeconfig leads through the proxy", "cluster", stack)
	return true, nil
}

// patience lets a writer have its way a few times, and then answers more slowly.
type patience struct {
	now  func() time.Time
	last time.Time
	many int
}

// next says how long to wait after one more answer.
func (p *patience) next() time.Duration {
	now := p.now()
	if now.Sub(p.last) > 10*time.Minute {
		p.many = 0
	}
	p.last = now
	p.many++
	if p.many <= 3 {
		return 0
	}
	return min(time.Second<<min(p.many-4, 10), 5*time.Minute)
}
