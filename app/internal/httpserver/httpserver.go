// Package httpserver is what every public server of this program does with each request, whatever it answers.
package httpserver

import (
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"slipway/app/internal/forwarded"
	"slipway/app/internal/metrics"
	"slipway/app/internal/tracing"
)

// Options is what a public server needs from its surroundings.
type Options struct {
	TrustedProxies forwarded.Proxies
	Draining       func() bool // true once the process is on its way out
	MaxBodyBytes   int64
	Tracing        trace.TracerProvider
	Logger         *slog.Logger
	Metrics        *metrics.Metrics
}

// Refuse answers a request with an error of this status.
type Refuse func(w http.ResponseWriter, r *http.Request, status int)

// Wrap identifies, limits, traces, measures and logs each request. headers are those of every answer; refuse answers
// what next does not get, and what ended in a panic.
func (o Options) Wrap(next http.Handler, headers func(http.Header), refuse Refuse) http.Handler {
	handler := o.setHeaders(headers, o.limitHead(refuse, o.recoverPanic(refuse, next)))
	return tracing.Server(o.Tracing, identify(o.limitBody(o.observe(handler))))
}
