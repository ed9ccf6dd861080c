// Package sni reads the server name that a TLS client asks for (RFC 6066, section 3) out of its first message, the
// ClientHello, and keeps every byte it read, so that the connection can be passed on as if nobody had looked.
//
// The bytes come from strangers. The reader takes no more than Limit of them, allocates in proportion to what really
// came, and looks at nothing but lengths and the one extension. It is held against crypto/tls by a fuzz test: whatever
// that accepts has the same name here.
package sni

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limit is the greatest length of a ClientHello, records' headers included. Real ones have 200 to 2000 bytes.
const Limit = 16 << 10

// What can be wrong with a first message.
var (
	ErrNotTLS  = errors.New("not a TLS ClientHello")
	ErrTooLong = fmt.Errorf("ClientHello of more than %d bytes", Limit)
	ErrNoName  = errors.New("ClientHello without a server name")
)

// TLS numbers (RFC 8446, sections 4 and 5.1; RFC 6066, section 3).
const (
	recordHandshake  = 22
	recordHeader     = 5
	recordMax        = 1 << 14
	handshakeHeader  = 4
	typeClientHello  = 1
	extServerName    = 0
	nameTypeHostName = 0
)

// Hello is what a client sent first.
type Hello struct {
	Name string // in lower case
	Raw  []byte // everything that was read, in the buffer given to Read or a larger one
}

// Read reads r until the ClientHello is complete. buf is where it reads to as long as it is large enough. With an error
// that is not r's own, Raw is still what was read.
func Read(r io.Reader, buf []byte) (Hello, error) {
	if len(buf) < 64 {
		buf = make([]byte, 2048)
	}
	have, want := 0, recordHeader
	for {
		for have < want {
			if have == len(buf) {
				buf = append(buf, make([]byte, min(len(buf), Limit-len(buf)))...)
			}
			n, err := r.Read(buf[have:])
			have += n
			if err != nil && have < want {
				return Hello{Raw: buf[:have]}, err
			}
		}
		name, more, err := parse(buf[:have])
		if err == nil && more > 0 && have+more > Limit {
			err = ErrTooLong
		}
		if err != nil || more == 0 {
			return Hello{Name: strings.ToLower(name), Raw: buf[:have]}, err
		}
		want = have + more
	}
}

// parse looks at the records read so far. more is how many bytes are missing at least.
func parse(b []byte) (name string, more int, err error) {
	var message []byte // what the records carry
	for rest := b; ; {
		if len(rest) < recordHeader {
			if len(rest) > 0 && rest[0] != recordHandshake {
				return "", 0, ErrNotTLS
			}
			return "", recordHeader - len(rest), nil
		}
		length := int(rest[3])<<8 | int(rest[4])
		if rest[0] != recordHandshake || rest[1] != 3 || length == 0 || length > recordMax {
			return "", 0, ErrNotTLS
		}
		if len(rest) < recordHeader+length {
			// The message's own header says early whether it is worth waiting for the rest.
			part := rest[recordHeader:]
			if len(message) == 0 && len(part) > 0 && part[0] != typeClientHello {
				return "", 0, ErrNotTLS
			}
			return "", recordHeader + length - len(rest), nil
		}
		body := rest[recordHeader : recordHeader+length]
		if message == nil {
			message = body[:len(body):len(body)] // the usual case: one record, nothing is copied
		} else {
			message = append(message, body...)
		}
		rest = rest[recordHeader+length:]
		if message[0] != typeClientHello {
			return "", 0, ErrNotTLS
		}
		if len(message) < handshakeHeader {
			continue
		}
		size := int(message[1])<<16 | int(message[2])<<8 | int(message[3])
		if size > Limit {
			return "", 0, ErrTooLong
		}
		if len(message) >= handshakeHeader+size {
			name, err = serverName(message[handshakeHeader : handshakeHeader+size])
			return name, 0, err
		}
	}
}

// serverName looks through the body of a ClientHello (RFC 8446, section 4.1.2).
func serverName(body []byte) (string, error) {
	c := cursor{rest: body}
	c.skip(2 + 32)    // version, random
	c.take(c.size(1)) // session
	c.take(c.size(2)) // cipher suites
	c.take(c.size(1)) // compression methods
	if !c.bad && len(c.rest) == 0 {
		return "", ErrNoName // no extensions at all
	}
	extensions := cursor{rest: c.take(c.size(2))}
	if c.bad || len(c.rest) > 0 {
		return "", ErrNotTLS
	}
	name, seen := "", false
	for len(extensions.rest) > 0 && !extensions.bad {
		kind := extensions.size(2)
		data := extensions.take(extensions.size(2))
		if kind != extServerName || extensions.bad {
			continue
		}
		if seen {
			return "", ErrNotTLS
		}
		seen = true
		var ok bool
		if name, ok = hostName(data); !ok {
			return "", ErrNotTLS
		}
	}
	if extensions.bad {
		return "", ErrNotTLS
	}
	if name == "" {
		return "", ErrNoName
	}
	return name, nil
}

// hostName reads the list in the extension; there may be one name of each type.
func hostName(data []byte) (name string, ok bool) {
	c := cursor{rest: data}
	list := cursor{rest: c.take(c.size(2))}
	if c.bad || len(c.rest) > 0 || len(list.rest) == 0 {
		return "", false
	}
	for len(list.rest) > 0 && !list.bad {
		kind := list.size(1)
		value := list.take(list.size(2))
		if list.bad || len(value) == 0 {
			return "", false
		}
		if kind != nameTypeHostName {
			continue
		}
		if name != "" {
			return "", false
		}
		name = string(value)
	}
	return name, !list.bad
}

// cursor takes bytes off the front of a slice; too few make it bad for good.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n > len(c.rest) {
		c.bad = true
		return nil
	}
	out := c.rest[:n]
	c.rest = c.rest[n:]
	return out
}

func (c *cursor) skip(n int) { c.take(n) }

// size reads a big-endian number of width bytes.
func (c *cursor) size(width int) int {
	n := 0
	for _, b := range c.take(width) {
		n = n<<8 | int(b)
	}
	return n
}
