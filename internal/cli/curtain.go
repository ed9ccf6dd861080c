package cli

import (
	"bytes"
	"io"
	"sync"
)

// curtain keeps secrets out of everything that a command shows, on both streams, its last error among it. It is open
// until a command that has read secrets draws it. Then texts are shown line by line, so that no secret is cut in two.
type curtain struct {
	mu   sync.Mutex
	hide func(string) string
}

// draw hides what hide hides from now on.
func (c *curtain) draw(hide func(string) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hide = hide
}

// before puts a stream behind the curtain.
func (c *curtain) before(w io.Writer) *veiled { return &veiled{curtain: c, w: w} }

type veiled struct {
	curtain *curtain
	w       io.Writer
	mu      sync.Mutex
	rest    []byte // the beginning of a line
}

// Write shows whole lines and keeps the rest for later, if there is something to hide.
func (v *veiled) Write(b []byte) (int, error) {
	v.curtain.mu.Lock()
	hide := v.curtain.hide
	v.curtain.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if hide == nil {
		return v.w.Write(b)
	}
	v.rest = append(v.rest, b...)
	end := bytes.LastIndexByte(v.rest, '\n') + 1
	if end == 0 {
		return len(b), nil
	}
	text := hide(string(v.rest[:end]))
	v.rest = append(v.rest[:0], v.rest[end:]...)
	if _, err := io.WriteString(v.w, text); err != nil {
		return 0, err
	}
	return len(b), nil
}

// flush shows what ends without a line's end.
func (v *veiled) flush() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.curtain.mu.Lock()
	hide := v.curtain.hide
	v.curtain.mu.Unlock()
	if hide != nil && len(v.rest) > 0 {
		_, _ = io.WriteString(v.w, hide(string(v.rest))) // nobody to tell when the stream is gone
		v.rest = nil
	}
}
