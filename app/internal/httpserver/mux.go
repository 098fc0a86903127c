package httpserver

import (
	"net/http"
	"strings"
)

// Mux routes to what is listed by method and path, as "GET /shops/{id}". What is not listed goes to notFound, or to
// notAllowed with the methods that are.
func Mux[H any](routes map[string]H, handle func(H) http.Handler, notAllowed func(methods string) H, notFound H) http.Handler {
	listed := http.NewServeMux()
	for pattern, handler := range routes {
		listed.Handle(pattern, handle(handler))
	}
	// Not a pattern without a method for each path: /shops/new without one and GET /shops/{id} exclude each other.
	listed.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		methods, path := allowed(listed, r)
		if len(methods) == 0 {
			handle(notFound).ServeHTTP(w, r)
			return
		}
		r.Pattern = path
		handle(notAllowed(strings.Join(methods, ", "))).ServeHTTP(w, r)
	})
	return listed
}

// allowed are the methods the path of r may be asked with, and the pattern it has there.
func allowed(listed *http.ServeMux, r *http.Request) (methods []string, path string) {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		_, pattern := listed.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host})
		if _, route, found := strings.Cut(pattern, " "); found {
			methods, path = append(methods, method), route
		}
	}
	return methods, path
}
