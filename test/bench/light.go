package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// light measures the binary that people install.
func (b *bench) light(ctx context.Context) error {
	info, err := os.Stat(b.binary)
	if err != nil {
		return fmt.Errorf("%w (make build makes it)", err)
	}
	b.report.add("size, stripped", float64(info.Size())/1e6, "MB", atMost(60))
	var took, cpu, rss []float64
	for range 20 {
		cmd := exec.CommandContext(ctx, b.binary, "version")
		begin := time.Now()
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s version: %w", b.binary, err)
		}
		took = append(took, time.Since(begin).Seconds()*1000)
		cpu = append(cpu, (cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Seconds()*1000)
		if used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			rss = append(rss, float64(used.Maxrss)/1024)
		}
	}
	b.report.add("jeroboam version, median of 20", median(took), "ms", atMost(50))
	b.report.note("jeroboam version, CPU", median(cpu), "ms")
	b.report.note("jeroboam version, memory", median(rss), "MiB")
	return nil
}

func median(v []float64) float64 { return quantile(v, 0.5) }

// quantile is the value that a share q of all values do not exceed.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(v))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
