package web

import (
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipway/app/internal/logging"
)

type problemContent struct{ Explanation, RetryAfter, RequestID string }

// explanations are what people read instead of a status. All else is a failure of ours.
var explanations = map[int][2]string{
	http.StatusBadRequest:            {"That did not work", "What was asked is not valid. The link may be an old one."},
	http.StatusForbidden:             {"That is not allowed", "It belongs to somebody else, or was sent from another site."},
	http.StatusNotFound:              {"There is nothing here", "The page may have been moved, or its address has a mistake."},
	http.StatusMethodNotAllowed:      {"That did not work", "This address cannot be used in that way."},
	http.StatusRequestEntityTooLarge: {"That is too much", "The form holds more than can be sent."},
	http.StatusRequestURITooLong:     {"That is too much", "The address of the page is too long."},

	http.StatusRequestHeaderFieldsTooLarge: {"That is too much", "The browser sent more about itself than can be read."},

	http.StatusTooManyRequests:     {"Too many requests", "More was asked than one visitor may."},
	http.StatusInternalServerError: {"Something went wrong", "It is not your fault, and it was written down."},
	http.StatusBadGateway:          {"Something went wrong", "It is not your fault, and it was written down."},
	http.StatusServiceUnavailable:  {"We will be back in a moment", "The service does not answer right now. Nothing you have sent before is lost."},
	http.StatusInsufficientStorage: {"There is no room", "Nothing further can be stored."},
}

// answerError is the only place that turns an error into a page. What visitors need not know is logged, not shown.
func (s *site) answerError(w http.ResponseWriter, r *http.Request, who visitor, err error) {
	if errors.Is(err, errEnded) {
		s.sendToLogin(w, r, who)
		return
	}
	p := s.problemOf(r, err)
	explanation, known := explanations[p.Status]
	if !known {
		s.Logger.ErrorContext(r.Context(), "the API answered what it does not promise", "error", err)
		p.Status = http.StatusBadGateway
		explanation = explanations[p.Status]
	}
	if p.RetryAfter != "" {
		w.Header().Set("Retry-After", p.RetryAfter)
	}
	shown := s.show(w, r, who, page{Name: "problem", Title: explanation[0], Status: p.Status,
		Content: problemContent{explanation[1], p.RetryAfter, logging.RequestID(r.Context())}})
	if shown != nil {
		s.Logger.ErrorContext(r.Context(), "request failed", "error", shown)
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
	}
}

func (s *site) problemOf(r *http.Request, err error) problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return *p
	case r.Context().Err() != nil: // the visitor has gone: nobody reads this
		return problem{Status: http.StatusServiceUnavailable}
	case errors.Is(err, errAway):
		s.Logger.WarnContext(r.Context(), "the API cannot be asked", "error", err)
		return problem{Status: http.StatusServiceUnavailable, RetryAfter: "2"}
	}
	s.Logger.ErrorContext(r.Context(), "request failed", "error", err)
	return problem{Status: http.StatusInternalServerError}
}

func (s *site) sendToLogin(w http.ResponseWriter, r *http.Request, who visitor) {
	why := ""
	if who.SignedIn() {
		forget(w)
		why = "ended"
	}
	http.Redirect(w, r, toLogin(who.back, why), http.StatusSeeOther)
}

// sentence makes a sentence of what the API says in lower case and without a full stop.
func sentence(words string) string {
	if words == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(words)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(words[size:], ".") + "."
}
