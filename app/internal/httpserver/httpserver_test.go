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

// newHandler returns a handler that responds 200, or with the status of a refusal.
func newHandler(t *testing.T, trusted string) http.Handler {
	t.Helper()
	proxies, err := forwarded.Parse(trusted)
	if err != nil {
		t.Fatal(err)
	}
	options := Options{
		TrustedProxies: proxies, Draining: func() bool { return false }, MaxBodyBytes: 100,
		Tracing: noop.NewTracerProvider(), Logger: logging.New(io.Discard, "json", nil, logging.Process{}), Metrics: metrics.New("test"),
	}
	return options.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(http.Header) {},
		func(w http.ResponseWriter, _ *http.Request, status int) { w.WriteHeader(status) })
}

func TestStrictTransportSecurityIsSentOverHTTPSOnly(t *testing.T) {
	for _, test := range []struct{ trusted, scheme, want string }{
		{"1", "https", "max-age=31536000"},
		{"1", "http", ""},
		{"0", "https", ""}, // the client itself may have written the header
	} {
		request := httptest.NewRequest("GET", "/", nil)
		request.Header.Set("X-Forwarded-Proto", test.scheme)
		response := httptest.NewRecorder()
		newHandler(t, test.trusted).ServeHTTP(response, request)
		if got := response.Header().Get("Strict-Transport-Security"); got != test.want {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}

func TestARequestWithTooManyHeadersIsRefused(t *testing.T) {
	request := httptest.NewRequest("GET", "/", nil)
	for i := range 100 {
		request.Header["X-"+string(rune('a'+i))] = nil
	}
	for _, want := range []int{http.StatusOK, http.StatusRequestHeaderFieldsTooLarge} {
		response := httptest.NewRecorder()
		newHandler(t, "0").ServeHTTP(response, request)
		if response.Code != want {
			t.Errorf("%d headers: %d, want %d", len(request.Header), response.Code, want)
		}
		request.Header.Set("X-One-More", "")
	}
}
