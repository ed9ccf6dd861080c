package magnum

import (
	"fmt"
	"net/http"
)

// Error is a refusal that a client is told: an HTTP status and a sentence. The sentences clients match on are Magnum's.
type Error struct {
	Status int    // an HTTP status, 400 to 599
	Detail string // one or more sentences; the first is the title
}

func (e *Error) Error() string { return e.Detail }

// Refuse makes an Error with any status.
func Refuse(status int, format string, args ...any) *Error {
	return &Error{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// Invalid refuses bad input (400).
func Invalid(format string, args ...any) *Error {
	return Refuse(http.StatusBadRequest, format, args...)
}

// Forbidden refuses what the caller may not do (403).
func Forbidden(format string, args ...any) *Error {
	return Refuse(http.StatusForbidden, format, args...)
}

// NotFound refuses what is not there, or not there for this caller (404).
func NotFound(format string, args ...any) *Error {
	return Refuse(http.StatusNotFound, format, args...)
}

// Conflict refuses what contradicts the present state (409).
func Conflict(format string, args ...any) *Error {
	return Refuse(http.StatusConflict, format, args...)
}

// Unavailable refuses for now, because something this service needs does not answer (503).
func Unavailable(format string, args ...any) *Error {
	return Refuse(http.StatusServiceUnavailable, format, args...)
}
