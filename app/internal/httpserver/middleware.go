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

// Anything else in this header could forge log lines or bloat them.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// identify gives the request an id: the caller's if that is a sane one, else a new one.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !saneRequestID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(logging.WithRequestID(r.Context(), id)))
	})
}

const (
	// maxURI is more than any page needs: its longest address is a search text, encoded twice, in `back` of the login.
	maxURI = 4 << 10
	// maxHeaders is far more than browsers and proxies send.
	maxHeaders = 100
	maxLogged  = 200
)

// limitHead refuses what would take much memory for as long as the request runs: each header takes far more than its
// bytes, and so does each parameter of a query.
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

// observe measures and logs each request. The route is known only afterwards, and only if nothing below copies r.
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

func (o Options) record(r *http.Request, answer *recorder, took time.Duration) {
	_, route, found := strings.Cut(r.Pattern, " ")
	if !found {
		route = r.Pattern
	}
	labels := []string{knownMethod(r.Method), route, strconv.Itoa(answer.status)}
	o.Metrics.Requests.WithLabelValues(labels...).Inc()
	o.Metrics.Durations.WithLabelValues(labels...).Observe(took.Seconds())

	tracing.Answered(r.Context(), labels[0], route, answer.status)

	level := slog.LevelInfo
	if answer.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	// The path only: a query may carry what nobody should read in a log.
	path := r.URL.Path[:min(len(r.URL.Path), maxLogged)]
	o.Logger.Log(r.Context(), level, "request", "method", labels[0], "route", route, "path", path,
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

func (o Options) setHeaders(headers func(http.Header), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers(w.Header())
		if o.TrustedProxies.HTTPS(r) { // browsers ignore it elsewhere (RFC 6797, section 8.1)
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		if o.Draining() {
			// Clients and the ingress move to another pod before this one closes their connections.
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// recoverPanic answers 500. If the answer has begun already it breaks the connection, so that no client takes half
// an answer for a whole one.
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
