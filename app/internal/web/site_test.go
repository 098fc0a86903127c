package web_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"slipway/app/internal/api"
	"slipway/app/internal/config"
	"slipway/app/internal/forwarded"
	"slipway/app/internal/httpserver"
	"slipway/app/internal/limit"
	"slipway/app/internal/logging"
	"slipway/app/internal/metrics"
	"slipway/app/internal/store"
	"slipway/app/internal/web"
)

// testSite is the pages with a real API, whose responses a test can replace.
type testSite struct {
	t    *testing.T
	file config.File // of both
	log  logBuffer   // of the pages only
	api  *httptest.Server
	web  *httptest.Server

	mu    sync.Mutex
	stub  func(w http.ResponseWriter, r *http.Request, api http.Handler) // nil for the real API
	calls []*http.Request                                                // received by the API
}

// logBuffer is safe for concurrent use.
type logBuffer struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (l *logBuffer) Write(content []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.Write(content)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.String()
}

func newTestSite(t *testing.T) *testSite {
	s := &testSite{t: t, file: config.File{PageSize: config.PageSize{Default: 2, Max: 100}}}
	st, counters := &store.Memory{}, metrics.New("test")
	real := api.New(api.Options{
		Options:     options(io.Discard, counters, 1),
		Store:       st,
		Announce:    st.Recount,
		Limiter:     limit.New(nil, counters),
		SigningKeys: []config.Secret{config.NewSecret("a key of this test, long enough")},
		File:        func() config.File { return s.file },
	})
	s.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls = append(s.calls, r)
		stub := s.stub
		s.mu.Unlock()
		if stub != nil {
			stub(w, r, real)
			return
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(s.api.Close)
	s.serve(0)
	return s
}

// serve starts another server for the pages, behind this number of proxies.
func (s *testSite) serve(trustedProxies int) {
	s.web = httptest.NewTLSServer(web.New(web.Options{
		Options: options(&s.log, metrics.New("test"), trustedProxies),
		API:     s.api.URL + "/",
		File:    func() config.File { return s.file },
	}))
	s.t.Cleanup(s.web.Close)
}

func options(log io.Writer, counters *metrics.Metrics, trustedProxies int) httpserver.Options {
	proxies, err := forwarded.Parse(strconv.Itoa(trustedProxies))
	if err != nil {
		panic(err)
	}
	return httpserver.Options{
		TrustedProxies: proxies,
		Draining:       func() bool { return false },
		MaxBodyBytes:   10_000,
		Tracing:        noop.NewTracerProvider(),
		Logger:         logging.New(log, "json", slog.LevelDebug, logging.Process{}),
		Metrics:        counters,
	}
}

// stubAPI replaces the API's responses with the given handler. nil restores the real API.
func (s *testSite) stubAPI(stub func(w http.ResponseWriter, r *http.Request, api http.Handler)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stub = stub
}

// count returns the number of API calls with this method and path.
func (s *testSite) count(method, path string) (times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, request := range s.calls {
		if request.Method == method && request.URL.Path == path {
			times++
		}
	}
	return times
}

// last returns the last request to the API.
func (s *testSite) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[len(s.calls)-1]
}
