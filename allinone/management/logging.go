package management

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gopkg.in/natefinch/lumberjack.v2"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// LogFile opens the log of a data directory: one file and one older one, of 64 MB each at most.
func LogFile(path string) io.WriteCloser {
	return &lumberjack.Logger{Filename: path, MaxSize: 64, MaxBackups: 1}
}

// DivertStderr keeps the terminal for progress: libraries that write to standard error past every logger (etcd's client
// in the API server makes its own before main begins) write to the file at path from now on. It returns what to write
// to in place of stderr, and how to undo it. A crash is told in both places. A stderr that is not the process's own
// stays as it is.
func DivertStderr(stderr io.Writer, path string) (terminal io.Writer, undo func() error, err error) {
	if stderr != os.Stderr {
		return stderr, func() error { return nil }, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("divert standard error: %w", err)
	}
	defer func() { _ = file.Close() }() // its descriptor has a second name by then
	fd, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("divert standard error: %w", err)
	}
	kept := os.NewFile(uintptr(fd), "stderr")
	err = errors.Join(debug.SetCrashOutput(kept, debug.CrashOptions{}), unix.Dup2(int(file.Fd()), int(os.Stderr.Fd())))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("divert standard error: %w", err), kept.Close())
	}
	return kept, func() error {
		return errors.Join(unix.Dup2(int(kept.Fd()), int(os.Stderr.Fd())), debug.SetCrashOutput(nil, debug.CrashOptions{}), kept.Close())
	}, nil
}

// LogTo sends what Kubernetes and Cluster API log to w, and nothing to the terminal but last words: a library that
// gives up (a start hook of the API server that failed, say) ends the process at once, and no error of ours is told any
// more. Their loggers are global to the process: call it once, before anything starts.
func LogTo(w, terminal io.Writer, verbosity int) error {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{
		"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL",
		"one_output": "true", // otherwise a warning is written as an info as well
		"v":          fmt.Sprint(verbosity),
	} {
		if err := flags.Set(name, value); err != nil {
			return fmt.Errorf("set up logging: %w", err)
		}
	}
	last := &lastWords{Writer: w}
	klog.SetOutput(last)
	exit := klog.OsExit
	klog.OsExit = func(code int) {
		_, _ = fmt.Fprintf(terminal, "error: Kubernetes gave up: %s; nothing is lost, start it again\n", last.words()) // ends now
		exit(code)
	}
	ctrl.SetLogger(klog.Background())
	return nil
}

// lastWords keeps the last fatal line of klog: "F1124 12:33:52.123456    4711 hooks.go:203] what happened".
type lastWords struct {
	io.Writer

	line atomic.Pointer[string]
}

func (l *lastWords) Write(p []byte) (int, error) {
	if line := string(p); strings.HasPrefix(line, "F") {
		l.line.Store(&line)
	}
	return l.Writer.Write(p)
}

func (l *lastWords) words() string {
	line := l.line.Load()
	if line == nil {
		return "it did not say why"
	}
	first, _, _ := strings.Cut(*line, "\n")
	if _, message, ok := strings.Cut(first, "] "); ok {
		return message
	}
	return first
}
