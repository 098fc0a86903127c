package api

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"slipway/app/internal/logging"
	"slipway/app/internal/tracing"
)

// Anything else in this header could forge log lines or bloat them.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// identify gives the request an id: the caller's if that is a sane one, else a new one.
func (a *api) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !saneRequestID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(logging.WithRequestID(r.Context(), id)))
	})
}

// limitBody comes before observe: MaxBytesReader closes the connection of a too large request only if it gets the
// server's own ResponseWriter.
func (a *api) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, a.MaxBodyBytes)
		next.ServeHTTP(w, r)
	})
}

// observe measures and logs each request. The route is known only afterwards, and only if nothing below copies r.
func (a *api) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		a.Metrics.InFlight.Inc()
		recorded := &recorder{ResponseWriter: w}
		defer func() {
			a.Metrics.InFlight.Dec()
			a.record(r, recorded, time.Since(started))
		}()
		next.ServeHTTP(recorded, r)
	})
}

func (a *api) record(r *http.Request, answer *recorder, took time.Duration) {
	_, route, found := strings.Cut(r.Pattern, " ")
	if !found {
		route = r.Pattern
	}
	labels := []string{knownMethod(r.Method), route, strconv.Itoa(answer.status)}
	a.Metrics.Requests.WithLabelValues(labels...).Inc()
	a.Metrics.Durations.WithLabelValues(labels...).Observe(took.Seconds())

	tracing.Answered(r.Context(), labels[0], route, answer.status)

	level := slog.LevelInfo
	if answer.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	// The path only: a query may carry what nobody should read in a log.
	a.Logger.Log(r.Context(), level, "request", "method", r.Method, "route", route, "path", r.URL.Path,
		"status", answer.status, "bytes", answer.bytes, "durationMs", float64(took.Microseconds())/1000)
}

// knownMethod keeps clients from making up series.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}

func (a *api) setHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Cache-Control", "no-store")
		if notice := a.File().Notice; notice != "" {
			header.Set("X-Notice", notice)
		}
		if a.Draining() {
			// Clients and the ingress move to another pod before this one closes their connections.
			header.Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// recoverPanic answers 500. If the answer has begun already it breaks the connection, so that no client takes half
// an answer for a whole one.
func (a *api) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			a.Metrics.Panics.Inc()
			a.Logger.ErrorContext(r.Context(), "panic", "cause", cause, "stack", string(debug.Stack()))
			if w.(*recorder).status != 0 {
				panic(http.ErrAbortHandler)
			}
			a.answerError(w, r, refuse(http.StatusInternalServerError, ""))
		}()
		next.ServeHTTP(w, r)
	})
}

// recorder remembers what was answered. status is 0 until the answer begins.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(content []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(content)
	r.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the server's own ResponseWriter.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
