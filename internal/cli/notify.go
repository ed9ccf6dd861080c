package cli

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/notify"
	"github.com/jeroboam-cloud/jeroboam/internal/oslo"
)

// notifications reads where to tell what becomes of clusters: oslo.messaging's driver, of which log is one that can be
// here, and a URL, which is our own option. The URL may hold a secret: it is in no error and no log.
func notifications(o *oslo.Config) (to string, line bool, err error) {
	const group = "oslo_messaging_notifications"
	line = slices.Contains(o.Strings(group, "driver", nil), "log")
	if to = o.String(group, "webhook_url", ""); to == "" {
		return "", line, nil
	}
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", line, errors.New("[" + group + "] webhook_url is no URL with http or https")
	}
	return to, line, nil
}

// notifications makes who tells, and lets it work; nil when nobody wants to be told.
func (s *serving) notifications(context.Context) error {
	if s.Config.NotifyURL == "" && !s.Config.NotifyLine {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	s.notifier = &notify.Notifier{Log: s.Log, Now: time.Now, Host: host, Line: s.Config.NotifyLine}
	if s.Config.NotifyURL == "" {
		return nil
	}
	s.notifier.Hook = notify.NewHook(s.Config.NotifyURL, http.DefaultTransport, s.Log)
	s.registry.MustRegister(s.notifier.Hook.Metrics()...)
	return s.manager.Add(always(s.notifier.Hook.Start))
}
