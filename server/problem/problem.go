// Package problem owns every refusal Genba can give: one table of reasons, each
// with its stable code, HTTP status and the sentence a reader is shown, in
// Japanese and in English. Rooms return problem errors; the GraphQL presenter
// and the HTTP writer are the only places that turn them into answers. Anything
// that is not a problem.Error is internal: logged with its cause, never shown.
package problem

import (
	"errors"
	"net/http"
)

// Code is the coarse, stable class of a refusal (extensions.code).
type Code string

// The codes, as clients switch on them.
const (
	Invalid         Code = "INVALID"
	Unauthorised    Code = "UNAUTHENTICATED"
	Denied          Code = "FORBIDDEN"
	Missing         Code = "NOT_FOUND"
	Conflicting     Code = "CONFLICT"
	Over            Code = "GONE"
	Large           Code = "TOO_LARGE"
	Limited         Code = "RATE_LIMITED"
	Down            Code = "UNAVAILABLE"
	InternalFailure Code = "INTERNAL"
)

// Error is a refusal: safe to show, with a hidden cause for the log.
type Error struct {
	reason Reason
	cause  error
}

// New refuses for a reason of the table.
func New(r Reason) *Error { return &Error{reason: r} }

// Wrap refuses for a reason and keeps the cause for the log.
func Wrap(r Reason, cause error) *Error { return &Error{reason: r, cause: cause} }

// Error names the reason and the cause; it is for logs, never for readers.
func (e *Error) Error() string {
	if e.cause != nil {
		return string(e.reason) + ": " + e.cause.Error()
	}
	return string(e.reason)
}

// Unwrap gives the hidden cause.
func (e *Error) Unwrap() error { return e.cause }

// Reason is the fine, stable reason (extensions.reason).
func (e *Error) Reason() Reason { return e.reason }

// Code is the class the reason belongs to.
func (e *Error) Code() Code { return table[e.reason].code }

// Status is the HTTP status of the reason.
func (e *Error) Status() int {
	if s := table[e.reason].status; s != 0 {
		return s
	}
	switch e.Code() {
	case Invalid:
		return http.StatusBadRequest
	case Unauthorised:
		return http.StatusUnauthorized
	case Denied:
		return http.StatusForbidden
	case Missing:
		return http.StatusNotFound
	case Conflicting:
		return http.StatusConflict
	case Over:
		return http.StatusGone
	case Large:
		return http.StatusRequestEntityTooLarge
	case Limited:
		return http.StatusTooManyRequests
	case Down:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Text is the sentence for a reader of the language ("ja" or "en"; anything
// else reads English). It says what happened and what to do.
func (e *Error) Text(language string) string {
	if language == "ja" {
		return table[e.reason].ja
	}
	return table[e.reason].en
}

// Of gives the refusal inside err; an error that is none becomes Internal with
// err as its hidden cause. Of(nil) is nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var p *Error
	if errors.As(err, &p) {
		return p
	}
	return Wrap(Internal, err)
}

// Is tells whether err is a refusal for that reason.
func Is(err error, r Reason) bool {
	var p *Error
	return errors.As(err, &p) && p.reason == r
}

// Reasons lists every reason, for tests and documents.
func Reasons() []Reason {
	all := make([]Reason, 0, len(table))
	for r := range table {
		all = append(all, r)
	}
	return all
}
