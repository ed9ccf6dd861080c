// Package etcd is the memory of the all-in-one: one etcd member in this process.
//
// It is as safe as a member of its own: every write is synced to disk before it is answered, so a killed process or a
// pulled plug loses nothing that was acknowledged. It serves on a Unix socket that only its owner can reach.
//
// etcd ends its process when it cannot write, for example on a full disk. Here it reports that instead, stands still at
// the failed write (nothing more can be committed after it), and leaves the end to the caller.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Server is a component (see package lifecycle).
type Server struct {
	Dir string    // where it keeps everything
	Log io.Writer // where its warnings and errors go

	endpoint string
	sockets  string // directory of the sockets, if it is a temporary one
	etcd     *embed.Etcd
	failed   atomic.Bool
}

// Endpoint is the address of the running server, for the API server's --etcd-servers.
func (s *Server) Endpoint() string { return s.endpoint }

// Start returns when the member has a leader (itself) and serves.
func (s *Server) Start(ctx context.Context, died func(error)) error {
	cfg, err := s.config()
	if err != nil {
		return err
	}
	// StartEtcd may stand still in a failed write as well; fatal tells.
	type result struct {
		etcd *embed.Etcd
		err  error
	}
	fatal, done := make(chan error, 1), make(chan result, 1)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(s.logger(func(err error) {
		s.failed.Store(true)
		select {
		case fatal <- err:
		default:
		}
		died(err)
	}))
	go func() {
		e, err := embed.StartEtcd(cfg)
		done <- result{e, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return fmt.Errorf("start etcd in %s: %w", s.Dir, r.err)
		}
		s.etcd = r.etcd
	case err := <-fatal:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-s.etcd.Server.ReadyNotify():
		go func() {
			for err := range s.etcd.Err() {
				died(err)
			}
		}()
		return nil
	case err := <-s.etcd.Err():
		return fmt.Errorf("start etcd in %s: %w", s.Dir, err)
	case err := <-fatal:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop closes the member. One that stands still in a failed write stays so.
func (s *Server) Stop(context.Context) error {
	if s.etcd != nil && !s.failed.Load() {
		s.etcd.Close()
	}
	if s.sockets != "" {
		return os.RemoveAll(s.sockets)
	}
	return nil
}

func (s *Server) config() (*embed.Config, error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of etcd: %w", err)
	}
	sockets, err := s.socketDir()
	if err != nil {
		return nil, err
	}
	cfg := embed.NewConfig()
	cfg.Name = "default"
	cfg.Dir = filepath.Join(s.Dir, "data")
	// Small log and few old segments: the set of objects is small and rewritten often.
	cfg.SnapshotCount = 5000
	cfg.SnapshotCatchUpEntries = 500
	cfg.MaxSnapFiles, cfg.MaxWalFiles = 1, 1
	cfg.QuotaBackendBytes = 4 << 30
	// Unset, every request is logged as slow.
	cfg.WarningUnaryRequestDuration = time.Second
	// The API server compacts; etcd need not.
	cfg.AutoCompactionRetention = "0"
	client := url.URL{Scheme: "unix", Path: filepath.Join(sockets, "client.sock")}
	peer := url.URL{Scheme: "unix", Host: filepath.Join(sockets, "peer.sock")}
	for _, stale := range []string{client.Path, peer.Host} {
		if err := os.Remove(stale); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("remove a socket that a killed process left: %w", err)
		}
	}
	cfg.ListenClientUrls = []url.URL{client}
	cfg.ListenPeerUrls = []url.URL{peer}
	// Advertised only, and required: one member, nothing dials these.
	advertised := url.URL{Scheme: "http", Host: "127.0.0.1:2380"}
	cfg.AdvertisePeerUrls = []url.URL{advertised}
	cfg.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:2379"}}
	cfg.InitialCluster = cfg.Name + "=" + advertised.String()
	s.endpoint = client.String()
	return cfg, nil
}

// plain is what a path may hold to be an address: the API server takes a comma for the end of one, URLs escape others.
var plain = regexp.MustCompile(`^[A-Za-z0-9/._-]*$`)

// socketDir is the directory of etcd unless a socket's path would be too long for the kernel (107 bytes), or no
// address.
func (s *Server) socketDir() (string, error) {
	if len(filepath.Join(s.Dir, "client.sock")) <= 100 && plain.MatchString(s.Dir) {
		return s.Dir, nil
	}
	dir, err := os.MkdirTemp("", "jeroboam-etcd-")
	if err != nil {
		return "", fmt.Errorf("make a directory for the sockets of etcd: %w", err)
	}
	s.sockets = dir
	return dir, nil
}

// logger writes warnings and worse. What etcd calls fatal goes to fatal, and the goroutine that said it goes no
// further.
func (s *Server) logger(fatal func(error)) *zap.Logger {
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.ISO8601TimeEncoder
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.Lock(zapcore.AddSync(s.Log)), zap.WarnLevel)
	return zap.New(core, zap.WithFatalHook(fatalHook(fatal)))
}

type fatalHook func(error)

// OnWrite keeps the goroutine, and the locks it holds, for ever: after a failed write etcd's state in memory is not to
// be trusted.
func (h fatalHook) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := errors.New(e.Message)
	for _, f := range fields {
		if cause, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			err = fmt.Errorf("%s: %w", e.Message, cause)
		}
	}
	h(fmt.Errorf("etcd cannot go on: %w", err))
	select {}
}
