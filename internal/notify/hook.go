package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	hookQueue   = 1000 // notifications that wait for a listener who does not answer
	hookTries   = 4
	hookTimeout = 10 * time.Second // for one try
	hookPause   = time.Second      // after the first try; twice as long after each further one
)

// Hook posts notifications to a URL, one after another, in the order they came.
type Hook struct {
	to     string
	client *http.Client
	log    *slog.Logger
	pause  time.Duration
	queue  chan []byte
	lost   atomic.Int64
}

// NewHook makes a Hook. Redirects are not followed: notifications go where the operator said.
func NewHook(to string, transport http.RoundTripper, log *slog.Logger) *Hook {
	return &Hook{
		to: to, log: log, pause: hookPause, queue: make(chan []byte, hookQueue),
		client: &http.Client{
			Transport: transport, Timeout: hookTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Offer puts a notification into the queue, if there is room.
func (h *Hook) Offer(text []byte) bool {
	select {
	case h.queue <- text:
		return true
	default:
		h.lost.Add(1)
		return false
	}
}

// Lost counts the notifications that nobody took.
func (h *Hook) Lost() int64 { return h.lost.Load() }

// Metrics shows Prometheus how many notifications were lost and how many wait.
func (h *Hook) Metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "jeroboam_notifications_lost_total", Help: "Notifications that webhook_url did not take.",
		}, func() float64 { return float64(h.Lost()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "jeroboam_notifications_queued", Help: "Notifications that wait for webhook_url, of 1,000 at most.",
		}, func() float64 { return float64(len(h.queue)) }),
	}
}

// Start posts until ctx ends. It implements manager.Runnable.
func (h *Hook) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case text := <-h.queue:
			if err := h.deliver(ctx, text); err != nil && ctx.Err() == nil {
				h.lost.Add(1)
				h.log.WarnContext(ctx, "a notification was not taken", "error", err, "lost", h.Lost())
			}
		}
	}
}

// deliver tries a few times. A listener that says that a notification is wrong is not asked again.
func (h *Hook) deliver(ctx context.Context, text []byte) error {
	pause := h.pause
	for try := 1; ; try++ {
		again, err := h.post(ctx, text)
		if err == nil || !again || try == hookTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
}

func (h *Hook) post(ctx context.Context, text []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.to, bytes.NewReader(text))
	if err != nil {
		return false, fmt.Errorf("make a request: %w", cause(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "jeroboam")
	resp, err := h.client.Do(req)
	if err != nil {
		return true, cause(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	if resp.StatusCode < http.StatusMultipleChoices {
		return false, nil
	}
	again = resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests
	return again, fmt.Errorf("the listener says %s", resp.Status)
}

// cause is an error without the URL, which may hold a secret of the listener's.
func cause(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
