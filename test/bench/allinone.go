package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

func isEvent(line, name string) bool {
	var e event
	return json.Unmarshal([]byte(line), &e) == nil && e.Event == name
}

// upOnce measures what a newcomer sees, then the all-in-one at rest.
func (b *bench) upOnce(ctx context.Context) error {
	c, err := b.up(ctx)
	if err != nil {
		return err
	}
	defer c.stop()
	b.report.add("start to serving", time.Since(c.began).Seconds(), "s", atMost(10))
	cpu, err := c.cpu()
	if err != nil {
		return err
	}
	b.report.note("start to serving, CPU", cpu, "s")
	for _, e := range c.events() {
		if took, err := time.ParseDuration(e.Took); err == nil && took > 100*time.Millisecond {
			b.report.note("  step "+e.Event, took.Seconds(), "s")
		}
	}
	if err := b.firstCluster(ctx, c, cpu); err != nil {
		return err
	}
	if err := b.rest(ctx, c.process, "1 cluster", goal{}); err != nil {
		return err
	}
	magnum, err := c.tenant(ctx, c.magnum)
	if err != nil {
		return err
	}
	more := 9
	if b.quick {
		more = 2
	}
	all, err := create(ctx, magnum, "rest", more)
	if err != nil {
		return err
	}
	if err := await(ctx, magnum, all, func(done int) { b.say("  %d of %d more clusters", done, more) }); err != nil {
		return err
	}
	if b.quick {
		return b.rest(ctx, c.process, "3 clusters", goal{})
	}
	return b.rest(ctx, c.process, "10 clusters", atMost(700))
}

func (b *bench) firstCluster(ctx context.Context, c *cloud, cpuAtServing float64) error {
	complete := func(e event) bool { return strings.HasPrefix(e.Event, "cluster ") && e.Status == "CREATE_COMPLETE" }
	err := c.saw(ctx, clusterBound, func(l string) bool {
		var e event
		return json.Unmarshal([]byte(l), &e) == nil && complete(e)
	})
	if err != nil {
		return err
	}
	cpu, err := c.cpu()
	if err != nil {
		return err
	}
	serving := 0.0
	for _, e := range c.events() {
		if e.Event == "serving" {
			serving = e.Elapsed
		}
		if complete(e) {
			b.report.add("serving to first cluster complete", e.Elapsed-serving, "s", atMost(30))
		}
	}
	b.report.note("serving to first cluster complete, CPU", cpu-cpuAtServing, "s")
	return nil
}

// rest measures a process that nobody asks anything of.
func (b *bench) rest(ctx context.Context, p *process, with string, most goal) error {
	settle, watch := 10*time.Second, 20*time.Second
	if b.quick {
		settle, watch = 3*time.Second, 5*time.Second
	}
	b.say("  at rest with %s", with)
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	before, err := p.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := sleep(ctx, watch); err != nil {
		return err
	}
	after, err := p.cpu()
	if err != nil {
		return err
	}
	rss, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	b.report.add("memory at rest, "+with, rss, "MiB", most)
	b.report.note("CPU at rest, "+with, 100*(after-before)/time.Since(begin).Seconds(), "% of a core")
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
