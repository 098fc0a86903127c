package web

import (
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipway/app/internal/logging"
)

// problemContent is the content of an error page.
type problemContent struct{ Explanation, RetryAfter, RequestID string }

// explanations are the title and the text of the error pages by status. The API sends no other status unless it fails.
var explanations = map[int][2]string{
	http.StatusBadRequest:            {"That did not work", "The request is not valid. The link may be out of date."},
	http.StatusForbidden:             {"That is not allowed", "It belongs to somebody else, or was sent from another site."},
	http.StatusNotFound:              {"There is nothing here", "The page may have been moved, or its address is wrong."},
	http.StatusMethodNotAllowed:      {"That did not work", "This address cannot be used in that way."},
	http.StatusRequestEntityTooLarge: {"That is too much", "The form holds more than can be sent."},
	http.StatusRequestURITooLong:     {"That is too much", "The address of the page is too long."},

	http.StatusRequestHeaderFieldsTooLarge: {"That is too much", "The browser sent more headers than are accepted."},

	http.StatusTooManyRequests:     {"Too many requests", "You have sent more requests than are allowed."},
	http.StatusInternalServerError: {"Something went wrong", "It is not your fault, and the error was logged."},
	http.StatusBadGateway:          {"Something went wrong", "It is not your fault, and the error was logged."},
	http.StatusServiceUnavailable:  {"We will be back in a moment", "The service is not available right now. Nothing that you have sent before is lost."},
	http.StatusInsufficientStorage: {"There is no room", "Nothing more can be stored."},
}

// showError is the only place that turns an error into a page. Internal details are logged and not shown.
func (s *site) showError(w http.ResponseWriter, r *http.Request, v visitor, err error) {
	if errors.Is(err, errSessionEnded) {
		s.redirectToLogin(w, r, v)
		return
	}
	p := s.problemOf(r, err)
	explanation, known := explanations[p.Status]
	if !known {
		s.Logger.ErrorContext(r.Context(), "the API sent an undocumented response", "error", err)
		p.Status = http.StatusBadGateway
		explanation = explanations[p.Status]
	}
	if p.RetryAfter != "" {
		w.Header().Set("Retry-After", p.RetryAfter)
	}
	renderErr := s.show(w, r, v, page{Name: "problem", Title: explanation[0], Status: p.Status,
		Content: problemContent{explanation[1], p.RetryAfter, logging.RequestID(r.Context())}})
	if renderErr != nil {
		s.Logger.ErrorContext(r.Context(), "request failed", "error", renderErr)
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
	}
}

// problemOf returns the problem for an error, and logs unexpected errors.
func (s *site) problemOf(r *http.Request, err error) problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return *p
	case r.Context().Err() != nil: // the visitor closed the connection: nobody reads this
		return problem{Status: http.StatusServiceUnavailable}
	case errors.Is(err, errUnavailable):
		s.Logger.WarnContext(r.Context(), "the API is unavailable", "error", err)
		return problem{Status: http.StatusServiceUnavailable, RetryAfter: "2"}
	}
	s.Logger.ErrorContext(r.Context(), "request failed", "error", err)
	return problem{Status: http.StatusInternalServerError}
}

// redirectToLogin redirects to the login, and from there back to the current page.
func (s *site) redirectToLogin(w http.ResponseWriter, r *http.Request, v visitor) {
	why := ""
	if v.SignedIn() {
		deleteTokens(w)
		why = "ended"
	}
	http.Redirect(w, r, loginPath(v.back, why), http.StatusSeeOther)
}

// sentence turns a detail of the API, in lower case and without a full stop, into a sentence.
func sentence(detail string) string {
	if detail == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(detail)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(detail[size:], ".") + "."
}
