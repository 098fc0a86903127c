// Package tracing records OpenTelemetry spans of incoming requests and of calls to other systems, and exports them to a
// collector. Spans never contain what users wrote: neither queries, bodies nor values of statements.
package tracing

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"slipway/app/internal/logging"
)

const (
	scope = "slipway/app"
	// stopTimeout is how long a stopping process tries to export the remaining spans.
	stopTimeout = 3 * time.Second
)

// Start exports the spans of this process to the collector at url (OTLP over HTTP) until stop is called: this ratio of
// the traces that begin here, and those that their caller exports. Without a URL it exports nothing.
func Start(ctx context.Context, url string, ratio float64, process logging.Process, logger *slog.Logger) (provider trace.TracerProvider, stop func(), err error) {
	if url == "" {
		// Trace IDs are created anyway: they connect the log lines of one request across services.
		return sdk.NewTracerProvider(sdk.WithSampler(sdk.ParentBased(sdk.NeverSample()))), func() {}, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(url, "/")+"/v1/traces"))
	if err != nil {
		return nil, nil, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("traces are lost", "error", err) }))
	exporting := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(ratio))), sdk.WithResource(resource.NewSchemaless(
		attribute.String("service.name", process.Service),
		attribute.String("service.version", process.Version),
		attribute.String("deployment.environment.name", process.Environment),
	)))
	return exporting, func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := exporting.Shutdown(ctx); err != nil {
			logger.Warn("traces are lost", "error", err)
		}
	}, nil
}

// Server records a span for each request, as a child of the caller's span if it sent one (W3C Trace Context).
func Server(provider trace.TracerProvider, next http.Handler) http.Handler {
	tracer := provider.Tracer(scope)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Finish adds to the span of a request what is known after it was served.
func Finish(ctx context.Context, method, route string, status int) {
	span := trace.SpanFromContext(ctx)
	span.SetName(method + " " + route)
	span.SetAttributes(
		attribute.String("http.request.method", method),
		attribute.String("http.route", route),
		attribute.Int("http.response.status_code", status),
	)
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

// StartCall starts a span for a call to another system if the span of the request is recorded; end finishes it. The
// statement must not contain values.
func StartCall(ctx context.Context, system, statement string) (_ context.Context, end func(err error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	operation, _, _ := strings.Cut(statement, " ")
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, system+" "+operation, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", system), attribute.String("db.query.text", statement)))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// Transport records a span for each outgoing request, and sends the trace context along.
func Transport(next http.RoundTripper) http.RoundTripper { return transport{next} }

type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := trace.SpanFromContext(r.Context()).TracerProvider().Tracer(scope).Start(r.Context(), r.Method, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("server.address", r.URL.Hostname())))
	defer span.End()
	r = r.Clone(ctx)
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(r.Header))
	response, err := t.next.RoundTrip(r)
	if err != nil {
		span.SetStatus(codes.Error, "")
		return nil, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
	if response.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, "")
	}
	return response, nil
}
