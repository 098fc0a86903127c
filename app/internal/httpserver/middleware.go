package httpserver

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

// Other text in this header could forge log lines, or fill the log.
var validRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// identify gives the request an ID: the caller's if it is valid, otherwise a new one.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !validRequestID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(logging.WithRequestID(r.Context(), id)))
	})
}

const (
	// maxURI fits the longest address of a page: a search text, encoded twice, in the parameter `back` of the login.
	maxURI = 4 << 10
	// maxHeaders is far more than browsers and proxies send.
	maxHeaders = 100
	// maxLoggedPath is how many bytes of a path are logged.
	maxLoggedPath = 200
)

// limitHead refuses requests with a long URI or many headers: each header, and each parameter of a query, takes far more
// memory than its bytes for as long as the request runs.
func (o Options) limitHead(refuse Refuse, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case len(r.URL.Path)+len(r.URL.RawQuery) > maxURI:
			refuse(w, r, http.StatusRequestURITooLong)
		case len(r.Header) > maxHeaders:
			clear(r.Header)
			refuse(w, r, http.StatusRequestHeaderFieldsTooLarge)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// observe measures and logs each request. The route is known only after the request was served, and only if no handler
// below copies r.
func (o Options) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		o.Metrics.InFlight.Inc()
		recorded := &recorder{ResponseWriter: w}
		defer func() {
			o.Metrics.InFlight.Dec()
			o.record(r, recorded, time.Since(started))
		}()
		next.ServeHTTP(recorded, r)
	})
}

// record adds a finished request to the metrics, its span and the log.
func (o Options) record(r *http.Request, response *recorder, took time.Duration) {
	_, route, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		route = r.Pattern
	}
	labels := []string{methodLabel(r.Method), route, strconv.Itoa(response.status)}
	o.Metrics.Requests.WithLabelValues(labels...).Inc()
	o.Metrics.Durations.WithLabelValues(labels...).Observe(took.Seconds())

	tracing.Finish(r.Context(), labels[0], route, response.status)

	level := slog.LevelInfo
	if response.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	// Only the path is logged: a query may contain private data.
	path := r.URL.Path[:min(len(r.URL.Path), maxLoggedPath)]
	o.Logger.Log(r.Context(), level, "request", "method", labels[0], "route", route, "path", path,
		"status", response.status, "bytes", response.bytes, "durationMs", float64(took.Microseconds())/1000)
}

// methodLabel returns "other" for unknown methods, so that clients cannot create series.
func methodLabel(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}

// setHeaders sets the headers of every response.
func (o Options) setHeaders(headers func(http.Header), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers(w.Header())
		if o.TrustedProxies.HTTPS(r) { // browsers ignore the header over HTTP (RFC 6797, section 8.1)
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		if o.Draining() {
			// This moves clients and the ingress to another pod before this one closes their connections.
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// recoverPanic responds 500 to a request that ends in a panic. If the response has begun already, it closes the
// connection, so that no client mistakes half a response for a complete one.
func (o Options) recoverPanic(refuse Refuse, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			o.Metrics.Panics.Inc()
			o.Logger.ErrorContext(r.Context(), "panic", "cause", cause, "stack", string(debug.Stack()))
			if w.(*recorder).status != 0 {
				panic(http.ErrAbortHandler)
			}
			refuse(w, r, http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

// recorder remembers status and size of a response. The status is 0 until the response begins.
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
