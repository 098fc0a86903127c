// Hello greets whoever calls it. It is written as tutorials write such a service: one port, GET /health, settings in
// environment variables, and nothing about Kubernetes.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	address := ":" + setting("PORT", "8000")
	log.Printf("listening on %s", address)
	log.Fatal(http.ListenAndServe(address, routes(setting("GREETING", "Hello"))))
}

// setting returns a variable of the environment, or a default.
func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// routes returns the pages of the service.
func routes(greeting string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s, %s!\n", greeting, r.PathValue("name"))
	})
	mux.HandleFunc("GET /slowly/{name}", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(8 * time.Second)
		fmt.Fprintf(w, "%s, %s, at last!\n", greeting, r.PathValue("name"))
	})
	return mux
}
