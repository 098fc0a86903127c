// Package httpserver contains what the API and the web pages do with every request: limits, request IDs, traces, metrics,
// logs, recovery and routing. What only one of them needs belongs to its own package.
package httpserver

import (
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"slipway/app/internal/forwarded"
	"slipway/app/internal/metrics"
	"slipway/app/internal/tracing"
)

// Options are the dependencies of a public server.
type Options struct {
	TrustedProxies forwarded.Proxies
	Draining       func() bool // reports whether the process is shutting down
	MaxBodyBytes   int64
	Tracing        trace.TracerProvider
	Logger         *slog.Logger
	Metrics        *metrics.Metrics
}

// Refuse writes an error response with this status.
type Refuse func(w http.ResponseWriter, r *http.Request, status int)

// Wrap returns a handler that identifies, limits, traces, measures and logs each request. headers sets the headers of
// every response; refuse writes the response to requests that do not reach next, or that end in a panic.
func (o Options) Wrap(next http.Handler, headers func(http.Header), refuse Refuse) http.Handler {
	handler := o.setHeaders(headers, o.limitHead(refuse, o.recoverPanic(refuse, next)))
	return tracing.Server(o.Tracing, identify(o.limitBody(o.observe(handler))))
}
