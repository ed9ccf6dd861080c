package management

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
	"gopkg.in/natefinch/lumberjack.v2"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// LogFile opens the log of a data directory: one file and one older one, of 64 MB each at most.
func LogFile(path string) io.WriteCloser {
	return &lumberjack.Logger{Filename: path, MaxSize: 64, MaxBackups: 1}
}

// DivertStderr keeps the terminal for progress: libraries that write to standard error past every logger (etcd's client in the API
// server makes its own before main begins) write to the file at path from now on. It returns what to write to in place of
// stderr, and how to undo it. A crash is told in both places. A stderr that is not the process's own stays as it is.
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

// LogTo sends what Kubernetes and Cluster API log to w, and nothing to the terminal. Their loggers are global to the process:
// call it once, before anything starts.
func LogTo(w io.Writer, verbosity int) error {
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
	klog.SetOutput(w)
	ctrl.SetLogger(klog.Background())
	return nil
}
