// Package web serves the HTML pages. It has no data of its own, and calls the API only over HTTP, like any other client.
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

// Options are the dependencies of the pages.
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

// New returns the handler of all pages. Other paths get an error page with 404, and other methods one with 405.
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

// handler writes the response, or returns an error for showError.
type handler func(http.ResponseWriter, *http.Request, visitor) error

func (s *site) serve(routes map[string]handler) http.Handler {
	// Refuse forms that were sent from other sites: the browser may send the cookies along.
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(s.handle(refused(http.StatusForbidden, "the form was sent from another site")))
	refuse := func(w http.ResponseWriter, r *http.Request, status int) {
		s.showError(w, r, visitor{back: "/"}, &problem{Status: status})
	}
	mux := httpserver.Mux(routes, s.handle, notAllowed, refused(http.StatusNotFound, ""))
	return s.Wrap(sameSite.Handler(mux), setHeaders, refuse)
}

func (s *site) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := s.visitor(r)
		if err := h(w, r, v); err != nil {
			s.showError(w, r, v, err)
		}
	})
}

// refused returns a handler that always fails.
func refused(status int, detail string) handler {
	return func(http.ResponseWriter, *http.Request, visitor) error {
		return &problem{Status: status, Detail: detail}
	}
}

func notAllowed(methods string) handler {
	return func(w http.ResponseWriter, r *http.Request, v visitor) error {
		w.Header().Set("Allow", methods)
		return &problem{Status: http.StatusMethodNotAllowed}
	}
}

func setHeaders(header http.Header) {
	// The policy forbids inline styles and scripts as well, so that injected markup has no effect.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Cookie")
}

const (
	// maxForm fits the longest review with characters of twelve bytes each in the encoding of forms.
	maxForm   = 16 << 10
	maxFields = 20
)

// readForm reads the values of the form, and converts line ends from the CR LF of browsers to LF.
func readForm(r *http.Request, f *form) error {
	content, err := httpserver.ReadBody(r, maxForm)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &problem{Status: http.StatusRequestEntityTooLarge}
	case errors.Is(err, httpserver.ErrBusy):
		return &problem{Status: http.StatusServiceUnavailable, RetryAfter: "1"}
	case err != nil || bytes.Count(content, []byte("&")) > maxFields:
		return &problem{Status: http.StatusBadRequest, Detail: "the form is incomplete or has too many fields"}
	}
	r.Body = io.NopCloser(bytes.NewReader(content))
	if r.ParseForm() != nil {
		return &problem{Status: http.StatusBadRequest, Detail: "the form is not encoded correctly"}
	}
	for i, field := range f.Fields {
		value := strings.ReplaceAll(r.PostForm.Get(field.Name), "\r\n", "\n")
		// The API reports a text that is slightly too long. Browsers do not send much longer ones.
		if field.MaxLength > 0 && utf8.RuneCountInString(value) > 2*field.MaxLength {
			return &problem{Status: http.StatusRequestEntityTooLarge}
		}
		f.Fields[i].Value = value
	}
	return nil
}
