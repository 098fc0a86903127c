// Package logging writes one structured line per event, with the process that wrote it and the IDs of its request and
// trace. What every line carries belongs here; packages log through the *slog.Logger they are given.
package logging

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Process names the running program. Its values are on every log line and span.
type Process struct{ Service, Environment, Version string }

// New returns a logger that writes to w as "json" or "text". The level may change at any time.
func New(w io.Writer, format string, level slog.Leveler, process Process) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	var lines slog.Handler = slog.NewJSONHandler(w, options)
	if format == "text" {
		lines = slog.NewTextHandler(w, options)
	}
	return slog.New(handler{lines}).With("service", process.Service, "environment", process.Environment, "version", process.Version)
}

type requestIDKey struct{}

// WithRequestID returns a context whose log lines carry the request ID.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the request ID of the context, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// handler adds requestId and traceId of the context to each line.
type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, record slog.Record) error {
	if id := RequestID(ctx); id != "" {
		record.AddAttrs(slog.String("requestId", id))
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		record.AddAttrs(slog.String("traceId", span.TraceID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
