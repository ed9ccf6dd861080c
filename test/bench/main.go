// Command bench measures what issue "Foundation" sets figures for, from outside, with the real binaries: sizes,
// start-up, memory, the API over sockets, and many clusters at once. Progress goes to stderr, one table to stdout.
//
// Wall time says little on a machine that others use too, so the table carries CPU time beside it wherever that says
// the same thing, and the load average of each moment. Everything runs on 127.0.0.1, in a directory of its own that is
// removed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	binary, allinone string
	output           string
	only             string
	debug            string
	quick            bool
	connections      int
	seconds          time.Duration
	many             int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err) // nobody to tell when standard error is gone
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o := options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.binary, "binary", "bin/jeroboam", "the light binary")
	f.StringVar(&o.allinone, "allinone", "bin/jeroboam-allinone", "the all-in-one")
	f.StringVar(&o.output, "output", "text", "text or json")
	f.StringVar(&o.only, "only", "", "run one section: binary, all-in-one, api, many")
	f.StringVar(&o.debug, "debug", "", "serve Go profiles of the all-in-one there, for example 127.0.0.1:6060")
	f.BoolVar(&o.quick, "quick", false, "less of everything: a minute or two, rougher figures")
	f.IntVar(&o.connections, "connections", 4, "connections of the load generator")
	f.DurationVar(&o.seconds, "time", 5*time.Second, "how long each load lasts")
	f.IntVar(&o.many, "many", 50, "clusters made at once")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if o.quick {
		o.seconds, o.many = min(o.seconds, 2*time.Second), min(o.many, 5)
	}
	dir, err := os.MkdirTemp("", "jeroboam-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{options: o, dir: dir, stderr: stderr, report: newReport(ctx, o.quick)}
	return errors.Join(b.sections(ctx), b.report.write(stdout, o.output))
}

// bench is what the sections share.
type bench struct {
	options

	dir    string
	stderr io.Writer
	report *report
	runs   int
}

// sections runs everything in order. What one section measured is reported even if a later one fails.
func (b *bench) sections(ctx context.Context) error {
	for _, s := range []struct {
		name string
		run  func(ctx context.Context) error
	}{
		{"binary", b.light},      // size, start, memory of the light binary
		{"all-in-one", b.upOnce}, // start-up, first cluster, memory, idle processor
		{"api", b.api},           // requests over sockets; memory of the view
		{"many", b.manyAtOnce},   // clusters made at once
	} {
		if b.only != "" && b.only != s.name {
			continue
		}
		b.say("%s", s.name)
		b.report.begin(s.name)
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...)) // progress only
}

// place is a new directory for one process.
func (b *bench) place() string {
	b.runs++
	return filepath.Join(b.dir, fmt.Sprintf("run%d", b.runs))
}
