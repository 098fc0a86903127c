// Command shutdown answers each request after 100 ms, and reacts to SIGTERM as SHUTDOWN says.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	var draining atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { time.Sleep(100 * time.Millisecond) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if draining.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/startupz", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()

	term := make(chan os.Signal, 1)
	switch os.Getenv("SHUTDOWN") {
	case "contract":
		signal.Notify(term, syscall.SIGTERM)
		<-term
		draining.Store(true)
		time.Sleep(duration("DRAIN_DELAY"))
		finish(server, duration("SHUTDOWN_TIMEOUT"))
	case "finishes":
		signal.Notify(term, syscall.SIGTERM)
		<-term
		finish(server, 5*time.Second)
	case "ignores":
		signal.Ignore(syscall.SIGTERM)
		select {}
	default: // ends at once
		select {}
	}
}

// finish stops listening, and waits for the requests that have begun.
func finish(server *http.Server, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Print(err)
	}
}

func duration(variable string) time.Duration {
	value, err := time.ParseDuration(os.Getenv(variable))
	if err != nil {
		log.Fatal(err)
	}
	return value
}
