package host

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Receive takes files into the store until in ends: a line with a digest, then chunks with their length before them
// (four bytes, the highest first), then a length of zero. Each is answered with a line, "ok" or what went wrong; that
// is the end.
func Receive(m *Machine, in io.Reader, out io.Writer) error {
	r := bufio.NewReaderSize(in, 256<<10)
	for {
		digest, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) && digest == "" {
			return nil
		}
		if err == nil {
			err = Store(m, strings.TrimSpace(digest), &chunks{r: r})
		}
		if err != nil {
			_, _ = fmt.Fprintln(out, strings.ReplaceAll(err.Error(), "\n", " ")) // a deployer that has gone hears nothing
			return err
		}
		if _, err := fmt.Fprintln(out, "ok"); err != nil {
			return err
		}
	}
}

// chunks reads one file of a stream.
type chunks struct {
	r    io.Reader
	left uint32
	end  bool
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 && !c.end {
		var size [4]byte
		if _, err := io.ReadFull(c.r, size[:]); err != nil {
			return 0, io.ErrUnexpectedEOF
		}
		c.left = binary.BigEndian.Uint32(size[:])
		c.end = c.left == 0
	}
	if c.end {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(len(p), int(c.left))])
	c.left -= uint32(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
