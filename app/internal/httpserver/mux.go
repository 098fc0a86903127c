package httpserver

import (
	"net/http"
	"strings"
)

// Mux returns a handler for these routes, each with a pattern such as "GET /shops/{id}". Other paths go to notFound, and
// other methods of a routed path to notAllowed, which gets the allowed methods.
func Mux[H any](routes map[string]H, handle func(H) http.Handler, notAllowed func(methods string) H, notFound H) http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.Handle(pattern, handle(handler))
	}
	// ServeMux would refuse patterns without a method for this: /shops/new conflicts with GET /shops/{id}.
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		methods, path := allowed(mux, r)
		if len(methods) == 0 {
			handle(notFound).ServeHTTP(w, r)
			return
		}
		r.Pattern = path
		handle(notAllowed(strings.Join(methods, ", "))).ServeHTTP(w, r)
	})
	return mux
}

// allowed returns the methods that are routed for the path of r, and the path pattern that matches.
func allowed(mux *http.ServeMux, r *http.Request) (methods []string, path string) {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		_, pattern := mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host})
		if _, route, ok := strings.Cut(pattern, " "); ok {
			methods, path = append(methods, method), route
		}
	}
	return methods, path
}
