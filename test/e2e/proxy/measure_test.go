package proxy

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rss is the proxy's resident memory in MiB.
func (h *host) rss(t *testing.T) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.proxy.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// memory is the same with its parts: the program's own pages, which the kernel may take back, are counted in what is
// resident.
func (h *host) memory(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.proxy.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	mib := map[string]float64{}
	for line := range strings.Lines(string(b)) {
		if name, rest, ok := strings.Cut(line, ":"); ok && strings.HasSuffix(rest, "kB\n") {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			mib[name] = kib / 1024
		}
	}
	metrics, err := h.admin("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	of := func(name string) float64 { return sumMetric(metrics, "go_memstats_"+name+"_bytes", "") / (1 << 20) }
	return fmt.Sprintf("%.0f MiB resident (at most %.0f; %.0f of it the program's file; heap %.0f, stacks %.0f)",
		mib["VmRSS"], mib["VmHWM"], mib["RssFile"], of("heap_alloc"), of("stack_inuse"))
}

func (h *host) descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.proxy.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// cpu is the processor time that a process and its descendants have used. A clock tick is 10 ms on Linux.
func cpu(pid int) time.Duration {
	sum := time.Duration(0)
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		sum = time.Duration(user+system) * 10 * time.Millisecond
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range threads {
		b, _ := os.ReadFile(f)
		for _, child := range strings.Fields(string(b)) {
			n, _ := strconv.Atoi(child)
			sum += cpu(n)
		}
	}
	return sum
}

// theContext is for helpers that outlive no test.
func theContext() context.Context { return context.Background() }

// requests is what the API server has answered so far, by "VERB resource".
func (m *management) requests(t *testing.T) map[string]float64 {
	t.Helper()
	cmd := exec.Command("kubectl", "--kubeconfig", m.admin, "get", "--raw", "/metrics")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for line := range strings.Lines(out.String()) {
		rest, ok := strings.CutPrefix(line, "apiserver_request_total{")
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		n, _ := strconv.ParseFloat(fields[len(fields)-1], 64)
		sums[label(rest, "verb")+" "+label(rest, "resource")] += n
	}
	return sums
}

func label(line, name string) string {
	_, rest, _ := strings.Cut(line, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
