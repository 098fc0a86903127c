package httpserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"slipway/app/internal/forwarded"
	"slipway/app/internal/logging"
	"slipway/app/internal/metrics"
)

// serve answers with 200, or with what a request is refused with.
func serve(t *testing.T, trusted string) http.Handler {
	t.Helper()
	proxies, err := forwarded.Parse(trusted)
	if err != nil {
		t.Fatal(err)
	}
	options := Options{
		TrustedProxies: proxies, Draining: func() bool { return false }, MaxBodyBytes: 100,
		Tracing: noop.NewTracerProvider(), Logger: logging.New(io.Discard, "json", nil), Metrics: metrics.New("test"),
	}
	return options.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(http.Header) {},
		func(w http.ResponseWriter, _ *http.Request, status int) { w.WriteHeader(status) })
}

func TestBrowsersAreToldToStayWithHTTPSOverHTTPSOnly(t *testing.T) {
	for _, each := range []struct{ trusted, scheme, want string }{
		{"1", "https", "max-age=31536000"},
		{"1", "http", ""},
		{"0", "https", ""}, // anybody could have written it
	} {
		request := httptest.NewRequest("GET", "/", nil)
		request.Header.Set("X-Forwarded-Proto", each.scheme)
		answer := httptest.NewRecorder()
		serve(t, each.trusted).ServeHTTP(answer, request)
		if got := answer.Header().Get("Strict-Transport-Security"); got != each.want {
			t.Errorf("%+v: got %q", each, got)
		}
	}
}

func TestARequestWithTooManyHeadersIsRefused(t *testing.T) {
	request := httptest.NewRequest("GET", "/", nil)
	for at := range 100 {
		request.Header["X-"+string(rune('a'+at))] = nil
	}
	for _, want := range []int{http.StatusOK, http.StatusRequestHeaderFieldsTooLarge} {
		answer := httptest.NewRecorder()
		serve(t, "0").ServeHTTP(answer, request)
		if answer.Code != want {
			t.Errorf("%d headers: %d, want %d", len(request.Header), answer.Code, want)
		}
		request.Header.Set("X-One-More", "")
	}
}
