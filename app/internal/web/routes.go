// Package web is the pages for people. It knows the API only over HTTP.
package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/singleflight"

	"slipway/app/internal/config"
	"slipway/app/internal/httpserver"
)

// Options is what the pages need from their surroundings.
type Options struct {
	httpserver.Options
	API  string             // URL
	File func() config.File // the reloadable configuration in force
}

type site struct {
	Options
	api      *client
	renewals singleflight.Group
}

// New is all pages: what is not listed here is a page too, which says 404, or 405.
func New(options Options) http.Handler {
	s := &site{Options: options, api: newClient(options.API)}
	routes := s.routes()
	for pattern := range routes {
		success := "200"
		if strings.HasPrefix(pattern, "POST ") {
			success = "303"
		}
		s.Metrics.DeclareRoute(pattern, success, "429", "500", "502", "503")
	}
	return s.serve(routes)
}

func (s *site) routes() map[string]handler {
	return map[string]handler{
		"GET /{$}":                                 s.listShops,
		"GET /leaders":                             s.listLeaders,
		"GET /shops/new":                           s.signedIn(s.newShop),
		"POST /shops":                              s.signedIn(s.addShop),
		"GET /shops/{id}":                          s.showShop,
		"POST /shops/{id}/reviews":                 s.signedIn(s.addReview),
		"POST /shops/{id}/reviews/{review}/like":   s.signedIn(s.setLike(http.MethodPut)),
		"POST /shops/{id}/reviews/{review}/unlike": s.signedIn(s.setLike(http.MethodDelete)),
		"GET /shops/{id}/edit":                     s.signedIn(s.editShop),
		"POST /shops/{id}/edit":                    s.signedIn(s.updateShop),
		"POST /shops/{id}/delete":                  s.signedIn(s.deleteShop),
		"GET /shops/{id}/reviews/{review}/edit":    s.signedIn(s.editReview),
		"POST /shops/{id}/reviews/{review}/edit":   s.signedIn(s.updateReview),
		"POST /shops/{id}/reviews/{review}/delete": s.signedIn(s.deleteReview),
		"GET /account":                             s.signedIn(s.showAccount),
		"POST /account/password":                   s.signedIn(s.changePassword),
		"POST /account/sessions/{session}/end":     s.signedIn(s.endSession),
		"POST /account/sessions/others/end":        s.signedIn(s.endOtherSessions),
		"POST /account/delete":                     s.signedIn(s.deleteAccount),
		"GET /signup":                              s.newAccount,
		"POST /signup":                             s.signUp,
		"GET /login":                               s.newLogin,
		"POST /login":                              s.logIn,
		"POST /logout":                             s.logOut,
		"GET /static/{name}":                       static,
	}
}

// handler answers the request, or returns an error for answerError to answer.
type handler func(http.ResponseWriter, *http.Request, visitor) error

func (s *site) serve(routes map[string]handler) http.Handler {
	// Nobody can send a form here from another site: a cookie alone would let them.
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(s.handle(refused(http.StatusForbidden, "the form was sent from another site")))
	refuse := func(w http.ResponseWriter, r *http.Request, status int) {
		s.answerError(w, r, visitor{back: "/"}, &problem{Status: status})
	}
	mux := httpserver.Mux(routes, s.handle, notAllowed, refused(http.StatusNotFound, ""))
	return s.Wrap(sameSite.Handler(mux), setHeaders, refuse)
}

func (s *site) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := s.visitor(r)
		if err := h(w, r, who); err != nil {
			s.answerError(w, r, who, err)
		}
	})
}

func refused(status int, detail string) handler {
	return func(http.ResponseWriter, *http.Request, visitor) error {
		return &problem{Status: status, Detail: detail}
	}
}

func notAllowed(methods string) handler {
	return func(w http.ResponseWriter, r *http.Request, who visitor) error {
		w.Header().Set("Allow", methods)
		return &problem{Status: http.StatusMethodNotAllowed}
	}
}

func setHeaders(header http.Header) {
	// No style or script in a page itself either: what somebody smuggles into a text stays text.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Cookie")
}

const (
	// largestForm fits the longest review, of characters that take twelve bytes each as browsers send them.
	largestForm = 16 << 10
	mostFields  = 20
)

// readForm reads the fields that were sent. Lines end as the API wants them: browsers send CR LF.
func readForm(r *http.Request, f *form) error {
	content, err := httpserver.ReadBody(r, largestForm)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &problem{Status: http.StatusRequestEntityTooLarge}
	case errors.Is(err, httpserver.ErrBusy):
		return &problem{Status: http.StatusServiceUnavailable, RetryAfter: "1"}
	case err != nil || bytes.Count(content, []byte("&")) > mostFields:
		return &problem{Status: http.StatusBadRequest, Detail: "the form did not arrive as a whole"}
	}
	r.Body = io.NopCloser(bytes.NewReader(content))
	if r.ParseForm() != nil {
		return &problem{Status: http.StatusBadRequest, Detail: "the form is not encoded as forms are"}
	}
	for at, field := range f.Fields {
		value := strings.ReplaceAll(r.PostForm.Get(field.Name), "\r\n", "\n")
		// The API says what is wrong with a text that is a bit too long. Browsers do not send more.
		if field.Longest > 0 && utf8.RuneCountInString(value) > 2*field.Longest {
			return &problem{Status: http.StatusRequestEntityTooLarge}
		}
		f.Fields[at].Value = value
	}
	return nil
}
