package main

import (
	"context"
	"fmt"
	"time"
)

// manyAtOnce makes many clusters at the same moment, as a class of students does.
func (b *bench) manyAtOnce(ctx context.Context) error {
	c, err := b.up(ctx, "--first-cluster=false")
	if err != nil {
		return err
	}
	defer c.stop()
	magnum, err := c.tenant(ctx, c.magnum)
	if err != nil {
		return err
	}
	before, err := c.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	all, err := create(ctx, magnum, "many", b.many)
	if err != nil {
		return err
	}
	accepted := time.Since(begin)
	if err := await(ctx, magnum, all, func(done int) { b.say("  %d of %d after %s", done, b.many, time.Since(begin).Round(time.Second)) }); err != nil {
		return err
	}
	cpu, err := c.cpu()
	if err != nil {
		return err
	}
	peak, err := c.memory("VmHWM")
	if err != nil {
		return err
	}
	var each []float64
	first, last := time.Duration(0), time.Duration(0)
	for _, m := range all {
		each = append(each, m.complete.Sub(m.answered).Seconds())
		at := m.complete.Sub(begin)
		if first == 0 || at < first {
			first = at
		}
		last = max(last, at)
	}
	n := fmt.Sprintf("%d at once: ", b.many)
	last50 := goal{}
	if b.many == 50 {
		last50 = atMost(189) // Cluster API alone, on a quiet machine of two cores
	}
	b.report.note(n+"all accepted", accepted.Seconds(), "s")
	b.report.note(n+"first complete", first.Seconds(), "s")
	b.report.add(n+"last complete", last.Seconds(), "s", last50)
	b.report.note(n+"accepted to complete, median", median(each), "s")
	b.report.note(n+"accepted to complete, p99", quantile(each, 0.99), "s")
	b.report.note(n+"CPU", cpu-before, "s")
	b.report.note(n+"CPU of each", (cpu-before)/float64(b.many), "s")
	b.report.note(n+"memory, peak", peak, "MiB")
	return nil
}
