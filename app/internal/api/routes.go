// Package api is the public HTTP surface.
package api

import (
	"log/slog"
	"net/http"
	"strings"

	"slipway/app/internal/config"
	"slipway/app/internal/metrics"
	"slipway/app/internal/store"
)

// Options is what the API needs from its surroundings.
type Options struct {
	Store        store.Store
	SigningKey   config.Secret
	File         func() config.File // the reloadable configuration in force
	Draining     func() bool        // true once the process is on its way out
	MaxBodyBytes int64
	Version      string
	Environment  string
	Logger       *slog.Logger
	Metrics      *metrics.Metrics
}

type api struct {
	Options
	cursors cursors
}

// New is the whole surface: what is not listed here answers 404, or 405 with the methods that are.
func New(options Options) http.Handler {
	a := &api{options, newCursors(options.SigningKey)}
	return a.serve([]route{
		{"GET", "/v1/items", a.listItems},
		{"POST", "/v1/items", a.addItem},
		{"GET", "/v1/items/{id}", a.getItem},
		{"GET", "/version", a.version},
	})
}

type route struct {
	method, path string
	handler      handler
}

// handler answers the request, or returns an error for answerError to answer.
type handler func(http.ResponseWriter, *http.Request) error

func (a *api) serve(routes []route) http.Handler {
	mux := http.NewServeMux()
	allowed := map[string][]string{}
	for _, route := range routes {
		mux.Handle(route.method+" "+route.path, a.handle(route.handler))
		allowed[route.path] = append(allowed[route.path], route.method)
		if route.method == http.MethodGet {
			allowed[route.path] = append(allowed[route.path], http.MethodHead)
		}
	}
	for path, methods := range allowed {
		mux.Handle(path, a.handle(methodNotAllowed(strings.Join(methods, ", "))))
	}
	mux.Handle("/", a.handle(notFound))
	return a.identify(a.limitBody(a.observe(a.setHeaders(a.recoverPanic(mux)))))
}

func (a *api) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.answerError(w, r, err)
		}
	})
}

func methodNotAllowed(methods string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", methods)
		return refuse(http.StatusMethodNotAllowed, r.Method+" is not one of "+methods)
	}
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return refuse(http.StatusNotFound, "there is nothing at "+r.URL.Path)
}
