package api

import (
	"net/http"
	"strconv"
)

const (
	buffersStart  = 4 << 10
	buffersAtMost = 1 << 20 // larger ones are left to the garbage collector
)

func (s *server) takeBuffer() *[]byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, buffersStart)
	return &b
}

func (s *server) giveBuffer(b *[]byte) {
	if b == nil || cap(*b) > buffersAtMost {
		return
	}
	*b = (*b)[:0]
	s.buffers.Put(b)
}

// object starts the answer's JSON in the request's buffer.
func (c *call) object() *object { return &object{(*c.buffer)[:0]} }

// ok answers with what was written to o.
func (c *call) ok(status int, o *object) answer {
	*c.buffer = o.b // keeps what it has grown to
	return answer{status: status, body: o.b}
}

// accepted is the answer to whoever started something on a cluster: its UUID.
func (c *call) accepted(uuid string) answer {
	o := c.object()
	o.open()
	o.str("uuid", uuid)
	o.close()
	return c.ok(http.StatusAccepted, o)
}

func (s *server) write(c *call, a answer) {
	h := c.w.Header()
	if a.location != "" {
		h.Set("Location", a.location)
	}
	c.status = a.status
	if a.body == nil {
		c.w.WriteHeader(a.status)
		return
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	c.w.WriteHeader(a.status)
	if _, err := c.w.Write(a.body); err != nil && c.problem == nil {
		c.problem = err // the client went away
	}
}
