package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

// agnhost is the container in which commands are run.
const agnhost = "agnhost"

// execute runs a command in a pod and returns all that it wrote.
type execute func(ctx context.Context, namespace, pod string, command ...string) (string, error)

// executor runs commands as kubectl exec does: by a WebSocket, or by SPDY where the API server is older than 1.30.
func executor(config *rest.Config, kube kubeAPI) execute {
	unbounded := rest.CopyConfig(config)
	unbounded.Timeout = 0 // the context's is what counts
	return func(ctx context.Context, namespace, pod string, command ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		request := kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
			VersionedParams(&corev1.PodExecOptions{Container: agnhost, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
		spdy, err := remotecommand.NewSPDYExecutor(unbounded, "POST", request.URL())
		if err != nil {
			return "", err
		}
		socket, err := remotecommand.NewWebSocketExecutor(unbounded, "GET", request.URL().String())
		if err != nil {
			return "", err
		}
		// Only what says that the server knows no WebSockets; a pod's own failure comes after the connection.
		both, err := remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool { return strings.Contains(err.Error(), "unable to upgrade") })
		if err != nil {
			return "", err
		}
		var out bytes.Buffer
		err = both.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &out})
		return strings.TrimSpace(out.String()), err
	}
}

func (r *run) namespace() string { return Prefix + r.RunID }

// makeNamespace makes one that admits restricted pods only: what runs there works in a hardened cluster as well.
func (r *run) makeNamespace(ctx context.Context) error {
	_, err := r.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: r.namespace(), Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the namespace %s: %w", r.namespace(), err)
	}
	return nil
}

// emptyOf removes the namespaces of runs and waits until they and their volumes are gone.
func (r *run) emptyOf(ctx context.Context, kube kubeAPI) error {
	bindings, err := kube.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, b := range bindings.Items {
		if !r.ofRun(b.Name) {
			continue
		}
		if err := kube.RbacV1().ClusterRoleBindings().Delete(ctx, b.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return r.await(ctx, 5*time.Minute, func(ctx context.Context) (bool, string, error) {
		namespaces, err := kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		var left []string
		for _, n := range namespaces.Items {
			if !r.ofRun(n.Name) {
				continue
			}
			left = append(left, "namespace "+n.Name)
			if n.DeletionTimestamp == nil {
				if err := kube.CoreV1().Namespaces().Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
					return false, "", err
				}
			}
		}
		volumes, err := kube.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		for _, v := range volumes.Items {
			if v.Spec.ClaimRef != nil && r.ofRun(v.Spec.ClaimRef.Namespace) && v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
				left = append(left, "volume "+v.Name)
			}
		}
		return len(left) == 0, "still there: " + strings.Join(left, ", "), nil
	})
}

func (r *run) ofRun(name string) bool {
	return owned(strings.TrimSuffix(name, conformanceSuffix), r.RunID)
}

// pod is a pod that every Pod Security profile admits. It runs on any node.
func (r *run) pod(name string, labels map[string]string, args ...string) *corev1.Pod {
	nobody, yes, no := int64(65534), true, false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: r.namespace(), Labels: labels},
		Spec: corev1.PodSpec{
			Tolerations:                  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
			TerminationGracePeriodSeconds: new(int64(1)), // netexec does not end by itself
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &nobody, RunAsGroup: &nobody, FSGroup: &nobody,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: agnhost, Image: r.image, Args: args, ImagePullPolicy: corev1.PullIfNotPresent,
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
		},
	}
}

// serves makes a pod's container an HTTP server that is asked whether it is ready.
func serves(spec *corev1.PodSpec) {
	c := &spec.Containers[0]
	c.Args = []string{"netexec", "--http-port=8080"}
	c.ReadinessProbe = &corev1.Probe{PeriodSeconds: 2, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: port(8080)}}}
}

func (r *run) createPods(ctx context.Context, pods ...*corev1.Pod) error {
	for _, p := range pods {
		if _, err := r.kube.CoreV1().Pods(p.Namespace).Create(ctx, p, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make the pod %s: %w", p.Name, err)
		}
	}
	return nil
}

// ready waits for pods, and returns them as they are then.
func (r *run) ready(ctx context.Context, limit time.Duration, selector string, count int) ([]corev1.Pod, error) {
	var pods []corev1.Pod
	err := r.await(ctx, limit, func(ctx context.Context) (bool, string, error) {
		list, err := r.kube.CoreV1().Pods(r.namespace()).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return false, "", err
		}
		pods = pods[:0]
		var not []string
		for _, p := range list.Items {
			if p.DeletionTimestamp != nil {
				continue
			}
			if why := notReady(p); why != "" {
				not = append(not, p.Name+": "+why)
			}
			pods = append(pods, p)
		}
		seen := fmt.Sprintf("%d of %d pods are ready", len(pods)-len(not), count)
		if len(not) > 0 {
			seen += ": " + strings.Join(not, "; ")
		}
		return len(pods) == count && len(not) == 0, seen, nil
	})
	if err != nil {
		return nil, fmt.Errorf("pods %s: %w%s", selector, err, r.warnings(ctx))
	}
	return pods, nil
}

// notReady says why a pod is not ready, "" if it is.
func notReady(p corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return ""
		}
	}
	why := string(p.Status.Phase)
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			why = c.Message
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			why = strings.TrimSuffix(c.State.Waiting.Reason+": "+c.State.Waiting.Message, ": ")
		case c.State.Terminated != nil:
			why = fmt.Sprintf("ended with status %d: %s", c.State.Terminated.ExitCode, c.State.Terminated.Reason)
		}
	}
	if why == "" {
		why = "not reported yet"
	}
	return why
}

// warnings are the newest ones of the namespace, for the error of something that did not come.
func (r *run) warnings(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	list, err := r.kube.CoreV1().Events(r.namespace()).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if err != nil || len(list.Items) == 0 {
		return ""
	}
	const most = 5
	var out strings.Builder
	out.WriteString("\nevents:")
	for _, e := range list.Items[max(0, len(list.Items)-most):] {
		fmt.Fprintf(&out, "\n  %s %s: %s: %s", strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, e.Reason, oneLine(e.Message))
	}
	return out.String()
}

// connects tries a TCP connection from inside a pod. "" is success; everything else is why not, in agnhost's words:
// TIMEOUT, REFUSED, DNS or OTHER. An error says that it could not be tried.
func (r *run) connects(ctx context.Context, from, to string) (string, error) {
	out, err := r.exec(ctx, r.namespace(), from, "/agnhost", "connect", to, "--timeout=5s")
	if err == nil {
		return "", nil
	}
	var ended exec.ExitError
	if errors.As(err, &ended) && ended.ExitStatus() == 1 {
		for _, word := range []string{"TIMEOUT", "REFUSED", "DNS", "OTHER"} {
			if strings.HasPrefix(out, word) {
				return out, nil
			}
		}
		if out == "" { // what a command says last may be lost on the way
			return "no connection", nil
		}
	}
	return "", errors.Join(fmt.Errorf("run a command in the pod %s: %w", from, err), asError(out))
}

func asError(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}
