package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// A routingError is said before any handler runs: no such path (404), method (405), version or media type (406).
// Magnum's routing (Pecan) answers these without version headers, and with empty texts, of which clients show nothing
// at all. Here they say what was wrong.
type routingError struct {
	status int
	allow  string // the methods there are, of a 405
	detail string
}

func (e *routingError) Error() string { return e.detail }

// refusal turns an error into what the client is told. A 4xx says what is wrong; the text of a 5xx goes to the log
// under the request id and never to the client.
func (s *server) refusal(c *call, err error) answer {
	var (
		told      *magnum.Error
		forbidden *policy.Forbidden
		routing   *routingError
		version   *versionError
		tooLarge  *http.MaxBytesError
	)
	switch {
	case errors.As(err, &routing):
		if routing.allow != "" {
			c.w.Header().Set("Allow", routing.allow)
		}
		return errorAnswer(routing.status, "client", routing.detail)
	case errors.As(err, &version):
		c.versionHeaders(version.asked)
		return answer{status: http.StatusNotAcceptable, body: []byte(unsupportedVersion)}
	case errors.As(err, &told) && told.Status < http.StatusInternalServerError:
		return errorAnswer(told.Status, "client", told.Detail)
	case errors.As(err, &told):
		return serverFault(c, told.Status)
	case errors.As(err, &forbidden):
		return errorAnswer(http.StatusForbidden, "client", forbidden.Error())
	case errors.As(err, &tooLarge):
		return errorAnswer(http.StatusRequestEntityTooLarge, "client",
			fmt.Sprintf("Request is too large. At most %d bytes are read.", tooLarge.Limit))
	case errors.Is(err, openstack.ErrUnauthorized):
		return s.unauthorized(c)
	case errors.Is(err, openstack.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return serverFault(c, http.StatusServiceUnavailable)
	}
	return serverFault(c, http.StatusInternalServerError)
}

const unsupportedVersion = `{"errors":[{"max_version":"` + maxVersion + `","min_version":"` + minVersion + `",` +
	`"code":"magnum.microversion-unsupported",` +
	`"links":[{"rel":"help","href":"http://docs.openstack.org/api-guide/compute/microversions.html"}],` +
	`"title":"Requested microversion is unsupported"}]}`

// unauthorized is keystonemiddleware's answer, which looks like Keystone's and not like Magnum's.
func (s *server) unauthorized(c *call) answer {
	c.w.Header().Set("WWW-Authenticate", fmt.Sprintf("Keystone uri=%q", s.Config.WWWAuthenticateURI))
	return answer{status: http.StatusUnauthorized, body: []byte(`{"error":{"code":401,"title":"Unauthorized",` +
		`"message":"The request you have made requires authentication."}}`)}
}

func serverFault(c *call, status int) answer {
	detail := "The service failed. Its operator finds the reason under request id " + c.requestID + "."
	if status == http.StatusServiceUnavailable {
		detail = "The service is not available right now, try again later. Its operator finds the reason under request id " +
			c.requestID + "."
	}
	return errorAnswer(status, "server", detail)
}

// errorAnswer is Magnum's error body. Its request_id is always empty.
func errorAnswer(status int, code, detail string) answer {
	o := object{make([]byte, 0, 160+2*len(detail))}
	o.raw(`{"errors":[{"request_id":"",`)
	o.str("code", code)
	o.integer("status", status)
	o.str("title", title(detail))
	o.str("detail", detail)
	o.raw(`"links":[]}]}`)
	return answer{status: status, body: o.b}
}

const maxTitle = 1000

// title is what clients show of an error: python-magnumclient, and with it the openstack command and Horizon, print
// nothing else. Magnum cuts the detail at its first dot, in the middle of "must be vX.Y.Z". Here it is whole sentences,
// as many as fit, because a later one says what to do; without the last dot, as Magnum writes it.
func title(detail string) string {
	end := len(detail)
	for end > maxTitle {
		cut := lastSentence(detail[:end])
		if cut < 0 {
			return magnum.Shorten(detail, maxTitle)
		}
		end = cut
	}
	return strings.TrimSuffix(detail[:end], ".")
}

// lastSentence finds where the last sentence but one ends, before the blank between them; -1 when there is only one.
func lastSentence(text string) int {
	for end := len(text); ; {
		at := strings.LastIndex(text[:end], ". ")
		if at < 0 {
			return -1
		}
		if next, _ := utf8.DecodeRuneInString(text[at+2:]); unicode.IsUpper(next) {
			return at + 1
		}
		end = at
	}
}
