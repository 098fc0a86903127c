package api

import (
	"errors"
	"net/http"

	"slipway/app/internal/auth"
	"slipway/app/internal/httpserver"
	"slipway/app/internal/logging"
	"slipway/app/internal/store"
)

// problem is an error that is sent to the client (RFC 9457).
type problem struct {
	Type      problemName  `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail,omitempty"`
	RequestID string       `json:"requestId"`
	Errors    []fieldError `json:"errors,omitempty"`
}

// fieldError is an error in one field of the body or one parameter of the query.
type fieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return p.Detail }

// refuse returns a problem of the default type of its status.
func refuse(status int, detail string, fields ...fieldError) *problem {
	return &problem{Type: defaultName(status), Title: http.StatusText(status), Status: status, Detail: detail, Errors: fields}
}

// writeError is the only place that turns an error into a response. Internal details are logged and not sent to the
// client.
func (a *api) writeError(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, store.ErrNotFound):
		p = refuse(http.StatusNotFound, "there is nothing with this ID")
	case errors.Is(err, store.ErrNotOwner):
		p = refuse(http.StatusForbidden, "this is not yours: only the user who added or wrote it can change it")
	case errors.Is(err, store.ErrFull):
		p = refuse(http.StatusInsufficientStorage, "nothing more can be stored")
	case r.Context().Err() != nil: // the client closed the connection: nobody reads this
		p = refuse(http.StatusServiceUnavailable, "the request was canceled")
	case errors.Is(err, httpserver.ErrBusy), errors.Is(err, auth.ErrBusy):
		w.Header().Set("Retry-After", "1")
		p = refuse(http.StatusServiceUnavailable, err.Error()+": try again in a moment")
	case errors.Is(err, store.ErrUnavailable):
		a.Logger.WarnContext(r.Context(), "store unavailable", "error", err)
		w.Header().Set("Retry-After", "1")
		p = refuse(http.StatusServiceUnavailable, "the store cannot be reached: try again in a moment")
	default:
		a.Logger.ErrorContext(r.Context(), "request failed", "error", err)
		p = refuse(http.StatusInternalServerError, "")
	}
	p.RequestID = logging.RequestID(r.Context())
	body, _ := encodeJSON(p) // cannot fail: it has only strings and numbers
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	w.Write(body)
}
