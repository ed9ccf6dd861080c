package verify

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conformanceSuffix ends the name of the namespace of the tests, and of the role binding that lets them do everything.
const conformanceSuffix = "-conformance"

const (
	tester     = "conformance-container" // as in hydrophone, so that its users find their way
	testerPod  = "e2e-conformance-test"
	resultsDir = "/tmp/results"
	testerWait = 5 * time.Minute
	endWait    = 5 * time.Minute // what tests that are ended take away after them
	fetchWait  = 2 * time.Minute
	serial     = `\[Serial\]` // marks tests that bear no others beside them
)

// focus is the regular expression that chooses tests: Kubernetes marks those of the certification, and sonobuoy's quick
// mode is one of them.
func focus(mode string) string {
	if mode == Quick {
		return "Pods should be submitted and removed"
	}
	return `\[Conformance\]`
}

// leftOut is the regular expression of tests that are left out.
func (o Options) leftOut() string {
	if o.ConformanceProcesses <= 1 {
		return o.ConformanceSkip
	}
	return strings.Trim(serial+"|"+o.ConformanceSkip, "|")
}

// ginkgoArguments are for what runs the tests. The image passes them on, separated by spaces.
func (o Options) ginkgoArguments() string {
	args := "-v"
	if o.ConformanceProcesses > 1 {
		args += fmt.Sprintf(" --procs=%d", o.ConformanceProcesses)
	}
	if o.ConformanceLimit > 0 {
		args += " --timeout=" + o.ConformanceLimit.String()
	}
	return args
}

// conformance runs the tests by the contract of hydrophone and of the image that Kubernetes publishes: a pod with
// rights over the whole cluster, told by the environment what to run, which leaves e2e.log and junit_01.xml in a
// volume.
func (r *run) conformance(ctx context.Context) (string, error) {
	if r.Conformance == None || r.Conformance == "" {
		return "", skipped("--conformance none")
	}
	image, err := r.conformanceImage()
	if err != nil {
		return "", err
	}
	if err := r.deployTests(ctx, image); err != nil {
		return "", err
	}
	limit := 30 * time.Minute
	if r.Conformance == Certified {
		limit = 6 * time.Hour
	}
	if r.ConformanceLimit > 0 {
		limit = r.ConformanceLimit + testerWait + endWait
	}
	status, err := r.testsEnd(ctx, limit)
	if err != nil {
		return "", err
	}
	report, err := r.fetch(ctx, "junit_01.xml")
	if err != nil {
		return "", errors.Join(fmt.Errorf("the tests ended with status %d and left no junit_01.xml: %w", status, err), r.keepLog(ctx))
	}
	if log, err := r.fetch(ctx, "e2e.log"); err == nil {
		err = r.keep("e2e.log", log)
		if err != nil {
			return "", err
		}
	}
	if err := r.keep("junit_01.xml", report); err != nil {
		return "", err
	}
	t, err := readTests([]byte(report))
	if err != nil {
		return "", err
	}
	return t.judge(r.Conformance, r.leftOut(), status)
}

// conformanceImage is the one of the cluster's version: tests of another one may ask for what it cannot have.
func (r *run) conformanceImage() (string, error) {
	if r.ConformanceImage != "" {
		return r.ConformanceImage, nil
	}
	version, _, _ := strings.Cut(r.version, "-")
	version, _, _ = strings.Cut(version, "+")
	return mirrored("registry.k8s.io/conformance:"+version, r.cluster.Labels)
}

func (r *run) testsNamespace() string { return r.namespace() + conformanceSuffix }

func (r *run) deployTests(ctx context.Context, image string) error {
	name := r.testsNamespace()
	existing := func(what string, err error) error {
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make the %s %s: %w", what, name, err)
		}
		return nil
	}
	_, err := r.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	if err := existing("namespace", err); err != nil {
		return err
	}
	_, err = r.kube.CoreV1().ServiceAccounts(name).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: testerPod}}, metav1.CreateOptions{})
	if err := existing("service account", err); err != nil {
		return err
	}
	_, err = r.kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: testerPod, Namespace: name}},
	}, metav1.CreateOptions{})
	if err := existing("role binding", err); err != nil {
		return err
	}
	return r.createPods(ctx, r.testsPod(image))
}

func (r *run) testsPod(image string) *corev1.Pod {
	p := r.pod(testerPod, nil, "pause")
	p.Namespace = r.testsNamespace()
	yes := true
	p.Spec.ServiceAccountName, p.Spec.AutomountServiceAccountToken, p.Spec.RestartPolicy = testerPod, &yes, corev1.RestartPolicyNever
	empty := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	p.Spec.Volumes = []corev1.Volume{{Name: "results", VolumeSource: empty}, {Name: "tmp", VolumeSource: empty}} // an image need not have a /tmp for everybody
	mount := []corev1.VolumeMount{{Name: "results", MountPath: resultsDir}}
	p.Spec.Containers[0].VolumeMounts = mount
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
		Name: tester, Image: image, ImagePullPolicy: corev1.PullIfNotPresent, VolumeMounts: append([]corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}}, mount...),
		SecurityContext: p.Spec.Containers[0].SecurityContext,
		Env: []corev1.EnvVar{
			{Name: "E2E_FOCUS", Value: focus(r.Conformance)},
			{Name: "E2E_SKIP", Value: r.leftOut()},
			{Name: "E2E_PROVIDER", Value: "skeleton"},
			{Name: "E2E_VERBOSITY", Value: "4"},
			{Name: "E2E_USE_GO_RUNNER", Value: "true"},
			{Name: "E2E_EXTRA_GINKGO_ARGS", Value: r.ginkgoArguments()},
			{Name: "RESULTS_DIR", Value: resultsDir},
			{Name: "PATH", Value: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
	})
	return p
}

// testsEnd waits for the tests' end and returns their exit status.
func (r *run) testsEnd(ctx context.Context, limit time.Duration) (status int, err error) {
	pods := r.kube.CoreV1().Pods(r.testsNamespace())
	began, since := r.Now(), metav1.Time{Time: r.Now().Add(-time.Minute)}
	done := 0
	err = r.await(ctx, limit, func(ctx context.Context) (bool, string, error) {
		p, err := pods.Get(ctx, testerPod, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		for _, c := range p.Status.ContainerStatuses {
			if c.Name != tester {
				continue
			}
			switch {
			case c.State.Terminated != nil:
				status = int(c.State.Terminated.ExitCode)
				return true, "", nil
			case c.State.Running == nil && r.Now().Sub(began) > testerWait:
				return false, "", fmt.Errorf("%w: the tests did not start within %s: %s", errNever, testerWait, notReady(*p))
			case c.State.Running == nil:
				return false, "the tests start: " + notReady(*p), nil
			}
		}
		next := metav1.Time{Time: r.Now()}
		text, err := pods.GetLogs(testerPod, &corev1.PodLogOptions{Container: tester, SinceTime: &since}).DoRaw(ctx)
		if err == nil {
			done += strings.Count(string(text), "\n• [")
			since = next
		}
		return false, fmt.Sprintf("about %d tests are done", done), nil
	})
	return status, err
}

// keepLog keeps what the tests' container said, of tests that did not come as far as to write files, and returns the
// end of it.
func (r *run) keepLog(ctx context.Context) error {
	text, err := r.kube.CoreV1().Pods(r.testsNamespace()).GetLogs(testerPod, &corev1.PodLogOptions{Container: tester}).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("read their log: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	const most = 12
	return errors.Join(r.keep("e2e.log", string(text)), errors.New("they said last:\n  "+strings.Join(lines[max(0, len(lines)-most):], "\n  ")))
}

// fetch reads a file of the tests' results. A busy kubelet can lose what a command has written and say that all went
// well; agnhost names the file before its content, so an answer without the name is asked for again.
func (r *run) fetch(ctx context.Context, name string) (content string, err error) {
	file := resultsDir + "/" + name
	err = r.await(ctx, fetchWait, func(ctx context.Context) (bool, string, error) {
		out, err := r.exec(ctx, r.testsNamespace(), testerPod, "/agnhost", "mounttest", "--file_content="+file)
		if err != nil {
			return false, "", fmt.Errorf("%w: %w", errNever, errors.Join(err, asError(oneLine(out))))
		}
		var whole bool
		content, whole = strings.CutPrefix(out, fmt.Sprintf("content of file %q:", file))
		content = strings.TrimSpace(content)
		return whole, name + ": the answer was lost", nil
	})
	return content, err
}

// keep puts a file among the results, if they are wanted.
func (r *run) keep(name, text string) error {
	if r.Results == "" {
		return nil
	}
	if err := os.MkdirAll(r.Results, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.Results, name), []byte(text), 0o644)
}

// tests is what junit_01.xml says.
type tests struct {
	passed, skipped int
	cut             int // had begun when the time of all was up
	failed          []string
}

// junitFailure is why a test did not pass, in ginkgo's words.
type junitFailure struct {
	Text string `xml:",chardata"`
}

// suiteTimeout is what ginkgo writes of a test that the limit of the whole run (--timeout) ended. A test that took
// longer than its own limit has the same status, and other words.
const suiteTimeout = "A suite timeout occurred"

// readTests counts what ran. Ginkgo's own steps (before and after the suite) are no tests, unless one of them failed.
func readTests(report []byte) (tests, error) {
	var t tests
	d := xml.NewDecoder(strings.NewReader(string(report)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return t, fmt.Errorf("read junit_01.xml: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "testcase" {
			continue
		}
		var c struct {
			Name    string        `xml:"name,attr"`
			Status  string        `xml:"status,attr"`
			Failure *junitFailure `xml:"failure"`
			Error   *struct{}     `xml:"error"`
			Skipped *struct{}     `xml:"skipped"`
		}
		if err := d.DecodeElement(&c, &start); err != nil {
			return t, fmt.Errorf("read junit_01.xml: %w", err)
		}
		test := strings.HasPrefix(c.Name, "[It]")
		switch {
		case test && c.Failure != nil && strings.Contains(c.Failure.Text, suiteTimeout):
			t.cut++
		case c.Failure != nil || c.Error != nil:
			t.failed = append(t.failed, c.Name)
		case test && c.Skipped != nil:
			t.skipped++
		case test && c.Status == "passed":
			t.passed++
		}
	}
	slices.Sort(t.failed)
	return t, nil
}

// mostShown bounds the names of failed tests in the verdict.
const mostShown = 30

// judge says whether the tests passed. Nothing that failed is not enough: something must have run, and the program must
// have ended well, which sonobuoy's users are not told.
func (t tests) judge(mode, skip string, status int) (string, error) {
	seen := fmt.Sprintf("%s: %d tests passed", mode, t.passed)
	if skip != "" {
		seen += fmt.Sprintf(", those that match %q were left out", skip)
	}
	if t.cut > 0 {
		seen += fmt.Sprintf(", %d cut off by the limit", t.cut)
	}
	switch {
	case len(t.failed) > 0:
		shown := t.failed[:min(len(t.failed), mostShown)]
		if rest := len(t.failed) - len(shown); rest > 0 {
			shown = append(slices.Clone(shown), fmt.Sprintf("and %d more, which junit_01.xml has", rest))
		}
		return "", fmt.Errorf("%s, %d failed:\n%s", seen, len(t.failed), strings.Join(shown, "\n"))
	case t.passed == 0 && t.cut == 0:
		return "", fmt.Errorf("%s: no test ran, the program ended with status %d", mode, status)
	case status != 0 || t.cut > 0:
		return "", fmt.Errorf("%s, and the program ended with status %d: the run was cut off", seen, status)
	}
	return seen, nil
}
