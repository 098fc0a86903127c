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

// surroundings are the pages before a real API, which can be made to answer otherwise.
type surroundings struct {
	t    *testing.T
	file config.File // of both
	log  locked      // of the pages alone
	api  *httptest.Server
	web  *httptest.Server

	mu      sync.Mutex
	between func(w http.ResponseWriter, r *http.Request, api http.Handler) // nil: the API answers
	asked   []*http.Request                                                // what the API was asked
}

// locked is a log many requests write.
type locked struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (l *locked) Write(content []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.Write(content)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.String()
}

func newSurroundings(t *testing.T) *surroundings {
	s := &surroundings{t: t, file: config.File{PageSize: config.PageSize{Default: 2, Max: 100}}}
	kept, counters := &store.Memory{}, metrics.New("test")
	real := api.New(api.Options{
		Options:     options(io.Discard, counters, 1),
		Store:       kept,
		Announce:    kept.Recount,
		Limiter:     limit.New(nil, counters),
		SigningKeys: []config.Secret{config.NewSecret("a key of this test, long enough")},
		File:        func() config.File { return s.file },
	})
	s.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r)
		between := s.between
		s.mu.Unlock()
		if between != nil {
			between(w, r, real)
			return
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(s.api.Close)
	s.serve(0)
	return s
}

// serve has the pages served anew, behind so many proxies.
func (s *surroundings) serve(trustedProxies int) {
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
		Logger:         logging.New(log, "json", slog.LevelDebug),
		Metrics:        counters,
	}
}

// meddle has the API's answers made by this from now on.
func (s *surroundings) meddle(between func(w http.ResponseWriter, r *http.Request, api http.Handler)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.between = between
}

// count is how often the API was asked for this path.
func (s *surroundings) count(method, path string) (times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, request := range s.asked {
		if request.Method == method && request.URL.Path == path {
			times++
		}
	}
	return times
}

// last is what the API was asked last.
func (s *surroundings) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}
