package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

const (
	// maxDownload bounds one file in bytes; the largest of Kubernetes has about 150 MB.
	maxDownload = 2 << 30
	// fetchTries is how often a download is begun or gone on with before it is given up. Publishers' servers close long
	// connections.
	fetchTries = 5
)

// fetch downloads what is at an artefact's URL into a file, and compares it with the lock. What an earlier try, or an
// earlier run, has brought is gone on with; whether the parts belong together is for the digest to say.
func (b *builder) fetch(ctx context.Context, a Artefact, to string) error {
	part := to + ".part"
	var problems []error
	for try := range fetchTries {
		if try > 0 {
			if err := b.pause(ctx, try); err != nil {
				return errors.Join(append(problems, err)...)
			}
		}
		again, err := b.fetchPart(ctx, a.URL, part)
		if err == nil {
			if err = b.complete(a, part, to); err == nil {
				return nil
			}
			// One more time from the beginning, if this was put together from parts: they may be of two different files.
			again = again || errors.Is(err, errOfParts)
		}
		problems = append(problems, err)
		if !again || ctx.Err() != nil {
			break
		}
	}
	return problems[len(problems)-1]
}

// errOfParts marks a wrong file that was not fetched in one piece.
var errOfParts = errors.New("it was put together from several answers")

func (b *builder) pause(ctx context.Context, try int) error {
	wait := b.Pause
	if wait == nil {
		wait = func(try int) <-chan time.Time { return time.After(time.Second << try) }
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait(try):
		return nil
	}
}

// complete gives a finished download its name, if it is what the lock says.
func (b *builder) complete(a Artefact, part, to string) error {
	got, n, err := fileDigest(part)
	if err != nil {
		return err
	}
	if got == a.URLDigest {
		_ = os.Remove(part + "ed") // says that there were several parts
		return whole.Name(part, to)
	}
	err = fmt.Errorf("what is at %s is not what the lock says: it must have digest %s and has %s (%d bytes)", a.URL, a.URLDigest, got, n)
	if exists(part + "ed") {
		err = fmt.Errorf("%w; %w", err, errOfParts)
	}
	return errors.Join(err, os.Remove(part), removeIfThere(part+"ed"))
}

func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// fetchPart asks for what a file lacks. It says whether it is worth asking once more.
func (b *builder) fetchPart(ctx context.Context, url, part string) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept-Encoding", "identity") // the bytes that the digest is of, and their length
	var have int64
	if info, err := os.Stat(part); err == nil && info.Size() > 0 {
		have = info.Size()
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	resp, err := b.HTTP.Do(req)
	if err != nil {
		return true, fmt.Errorf("download: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	switch {
	case resp.StatusCode == http.StatusPartialContent && have > 0 && strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(have, 10)+"-"):
		flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
		if err := whole.Write(part+"ed", nil, 0o644); err != nil {
			return false, err
		}
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && have > 0: // all of it is there, or it is another file by now
		return false, nil
	case resp.StatusCode == http.StatusOK:
		have = 0
		if err := removeIfThere(part + "ed"); err != nil {
			return false, err
		}
	default:
		busy := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500
		return busy, fmt.Errorf("download %s: %s", url, resp.Status)
	}
	out, err := os.OpenFile(part, flags, 0o644)
	if err != nil {
		return false, err
	}
	n, err := io.Copy(out, io.LimitReader(resp.Body, maxDownload-have+1))
	again = err != nil // the connection broke: fewer bytes came than were announced
	if err != nil {
		err = fmt.Errorf("download %s: %w after %d bytes", url, err, have+n)
	}
	if have+n > maxDownload {
		again, err = false, fmt.Errorf("download %s: longer than %d bytes", url, maxDownload)
	}
	return again, errors.Join(err, out.Sync(), out.Close())
}

// fetchText downloads a small text: a list of sums.
func fetchText(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", url, resp.Status)
	}
	const limit = 1 << 20
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && len(text) > limit {
		err = errors.New("longer than a list of sums can be")
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", url, err)
	}
	return string(text), nil
}
