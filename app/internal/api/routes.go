// Package api is the public HTTP API: routes, request and response bodies, and problems. Data belongs to package store,
// and what the web pages need as well to package httpserver. openapi.json documents every route.
package api

import (
	"context"
	"net/http"

	"slipway/app/internal/auth"
	"slipway/app/internal/config"
	"slipway/app/internal/httpserver"
	"slipway/app/internal/limit"
	"slipway/app/internal/store"
)

// Options are the dependencies of the API.
type Options struct {
	httpserver.Options
	Store       store.Store
	Announce    func(context.Context, store.Change) error // triggers a recount, now or soon
	Limiter     *limit.Limiter
	SigningKeys []config.Secret    // the first one signs; signatures of all are accepted
	File        func() config.File // the reloadable configuration in force
	Version     string
	Environment string
}

type api struct {
	Options
	cursors     cursors
	passwords   *auth.Passwords
	access      *auth.AccessTokens
	pseudonyms  pseudonyms
	refreshKeys auth.RefreshKeys
}

// New returns the handler of the API. Other paths get a 404, and other methods a 405 with the allowed ones.
func New(options Options) http.Handler {
	a := &api{
		Options:     options,
		cursors:     newCursors(options.SigningKeys),
		passwords:   auth.NewPasswords(options.Metrics.Overloads.WithLabelValues("passwords").Inc),
		access:      auth.NewAccessTokens(options.SigningKeys...),
		pseudonyms:  newPseudonyms(options.SigningKeys),
		refreshKeys: auth.NewRefreshKeys(options.SigningKeys...),
	}
	routes, codes := a.routes(), documentedCodes()
	for pattern := range routes {
		a.Metrics.DeclareRoute(pattern, append(codes[pattern], "500")...)
	}
	return a.serve(routes)
}

func (a *api) routes() map[string]handler {
	return map[string]handler{
		"POST /v1/users":                  a.limited(logins, a.once(a.addUser)),
		"GET /v1/users/me":                a.limited(requests, a.signedIn(a.getMe)),
		"PUT /v1/users/me/password":       a.limited(logins, a.signedIn(a.changePassword)),
		"POST /v1/users/me/deletion":      a.limited(logins, a.signedIn(a.deleteMe)),
		"POST /v1/sessions":               a.limited(logins, a.logIn),
		"DELETE /v1/sessions":             a.limited(requests, a.signedIn(a.logOut)),
		"GET /v1/sessions":                a.limited(requests, a.signedIn(a.listSessions)),
		"DELETE /v1/sessions/{id}":        a.limited(requests, a.signedIn(a.endSession)),
		"DELETE /v1/sessions/others":      a.limited(requests, a.signedIn(a.endOtherSessions)),
		"POST /v1/sessions/refresh":       a.limited(logins, a.refresh),
		"GET /v1/shops":                   a.limited(requests, a.listShops),
		"POST /v1/shops":                  a.limited(requests, a.once(a.signedIn(a.addShop))),
		"GET /v1/shops/{id}":              a.limited(requests, a.getShop),
		"GET /v1/shops/{id}/reviews":      a.limited(requests, a.listReviews),
		"POST /v1/shops/{id}/reviews":     a.limited(requests, a.once(a.signedIn(a.addReview))),
		"PUT /v1/shops/{id}":              a.limited(requests, a.signedIn(a.updateShop)),
		"DELETE /v1/shops/{id}":           a.limited(requests, a.signedIn(a.deleteShop)),
		"GET /v1/shops/{id}/reviews/mine": a.limited(requests, a.signedIn(a.getOwnReview)),
		"GET /v1/reviews/{id}":            a.limited(requests, a.getReview),
		"PUT /v1/reviews/{id}":            a.limited(requests, a.signedIn(a.updateReview)),
		"DELETE /v1/reviews/{id}":         a.limited(requests, a.signedIn(a.deleteReview)),
		"PUT /v1/reviews/{id}/like":       a.limited(requests, a.setLike(a.Store.Like)),
		"DELETE /v1/reviews/{id}/like":    a.limited(requests, a.setLike(a.Store.Unlike)),
		"GET /v1/leaderboard":             a.limited(requests, a.listLeaders),
		"GET /v1/openapi.json":            a.getOpenAPI,
		"GET /v1/problems":                listProblemTypes,
		"GET /v1/problems/{name}":         getProblemType,
		"GET /version":                    a.getVersion,
	}
}

// handler writes the response, or returns an error for writeError.
type handler func(http.ResponseWriter, *http.Request) error

func (a *api) serve(routes map[string]handler) http.Handler {
	refuseRequest := func(w http.ResponseWriter, r *http.Request, status int) { a.writeError(w, r, refuse(status, "")) }
	return a.Wrap(httpserver.Mux(routes, a.handle, methodNotAllowed, notFound), a.setHeaders, refuseRequest)
}

func (a *api) setHeaders(header http.Header) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Cache-Control", "no-store")
	if notice := a.File().Notice; notice != "" {
		header.Set("X-Notice", notice)
	}
}

func (a *api) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.writeError(w, r, err)
		}
	})
}

func methodNotAllowed(methods string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", methods)
		return refuse(http.StatusMethodNotAllowed, "the method is not one of "+methods)
	}
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return refuse(http.StatusNotFound, "there is nothing at "+r.URL.Path)
}
