package emulator

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Consoles reads the consoles of all servers until it is told to stop, into the file that Nova shows ("openstack
// console log show"). Without a reader the terminal fills up after some 40 kB, and systemd, then journald, then
// everything that logs waits for ever.
func Consoles(ctx context.Context, log *slog.Logger) {
	var readers sync.Map // terminal -> struct{}
	for {
		found, _ := filepath.Glob(filepath.Join(state, "*.xml")) // a fixed pattern
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // the server has just gone
			}
			tty, file := console(text)
			if tty == "" {
				continue
			}
			if _, running := readers.LoadOrStore(tty, struct{}{}); running {
				continue
			}
			go func() {
				defer readers.Delete(tty)
				if err := copyConsole(tty, file); err != nil {
					log.Warn("reading a console", "terminal", tty, "error", err)
				}
			}()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// console is a domain's terminal, and the file in its instance's directory that Nova shows.
func console(text []byte) (tty, file string) {
	var status struct {
		Domain struct {
			Devices struct {
				Console struct {
					TTY string `xml:"tty,attr"`
				} `xml:"console"`
				Filesystem []struct {
					Source struct {
						Dir string `xml:"dir,attr"`
					} `xml:"source"`
				} `xml:"filesystem"`
			} `xml:"devices"`
		} `xml:"domain"`
	}
	if xml.Unmarshal(text, &status) != nil {
		return "", "" // half written
	}
	devices := status.Domain.Devices
	if len(devices.Filesystem) == 0 || devices.Filesystem[0].Source.Dir == "" {
		return "", ""
	}
	return devices.Console.TTY, filepath.Join(filepath.Dir(devices.Filesystem[0].Source.Dir), "console.log")
}

// most of a console that is kept.
const most = 4 << 20

func copyConsole(tty, file string) error {
	in, err := os.OpenFile(tty, os.O_RDONLY|syscall.O_NOCTTY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the server has gone, its description not yet
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // a log
	buffer := make([]byte, 32<<10)
	for size := 0; ; {
		n, err := in.Read(buffer)
		if size += n; size > most {
			if err := out.Truncate(0); err != nil {
				return err
			}
			size = n
		}
		if _, err := out.Write(buffer[:n]); err != nil {
			return err
		}
		if err != nil {
			return nil // EIO: the server has gone
		}
	}
}
