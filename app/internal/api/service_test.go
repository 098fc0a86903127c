package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"slipway/app/internal/api"
	"slipway/app/internal/auth"
	"slipway/app/internal/config"
	"slipway/app/internal/httpserver"
	"slipway/app/internal/limit"
	"slipway/app/internal/logging"
	"slipway/app/internal/metrics"
	"slipway/app/internal/store"
)

// service is an API whose dependencies a test can read and change.
type service struct {
	http.Handler
	t       *testing.T
	file    config.File
	log     bytes.Buffer
	metrics *metrics.Metrics
	store   store.Store
	tokens  *auth.AccessTokens
}

var signingKey = config.NewSecret("a key of this test, long enough")

func newService(t *testing.T, st store.Store) *service {
	s := &service{t: t, file: config.File{PageSize: config.PageSize{Default: 2, Max: 5}}, metrics: metrics.New("test"), store: st}
	s.tokens = auth.NewAccessTokens(signingKey)
	s.Handler = api.New(s.options())
	return s
}

func (s *service) options() api.Options {
	return api.Options{
		Options: httpserver.Options{
			Draining:     func() bool { return false },
			MaxBodyBytes: 1000,
			Tracing:      noop.NewTracerProvider(),
			Logger:       logging.New(&s.log, "json", slog.LevelInfo, logging.Process{}),
			Metrics:      s.metrics,
		},
		Store:       s.store,
		Announce:    s.store.Recount,
		Limiter:     limit.New(nil, s.metrics),
		SigningKeys: []config.Secret{signingKey},
		File:        func() config.File { return s.file },
		Version:     "src-1234",
		Environment: "test",
	}
}

// as returns the headers of a request by the user with this number, whom it adds if necessary.
func (s *service) as(number byte) []string {
	s.t.Helper()
	email := fmt.Sprint(number, "@example.org")
	user, err := s.store.UserByEmail(s.t.Context(), email)
	if errors.Is(err, store.ErrNotFound) {
		user, err = s.store.AddUser(s.t.Context(), store.UserDraft{Email: email, Name: fmt.Sprint("user ", number)})
	}
	token, issueErr := s.tokens.Issue(auth.Identity{User: user.ID, Session: store.ID{6: 0x70, 8: 0x80}})
	if err := errors.Join(err, issueErr); err != nil {
		s.t.Fatal(err)
	}
	return []string{"Authorization", "Bearer " + token}
}

// do sends a request. headers alternate name and value.
func (s *service) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	response := httptest.NewRecorder()
	s.ServeHTTP(response, request)
	return response
}

// add adds a shop and returns its path.
func (s *service) add(name string) (location string) {
	s.t.Helper()
	response := s.do("POST", "/v1/shops", fmt.Sprintf(`{"name": %q}`, name), s.as(1)...)
	if response.Code != http.StatusCreated {
		s.t.Fatalf("POST: %d %s", response.Code, response.Body)
	}
	return response.Header().Get("Location")
}

type problem struct {
	Type, Title, Detail, RequestID string
	Status                         int
	Errors                         []struct{ Field, Detail string }
}

// problem decodes the problem of a response, and checks that it conforms to RFC 9457.
func (s *service) problem(response *httptest.ResponseRecorder) (p problem) {
	s.t.Helper()
	if got := response.Header().Get("Content-Type"); got != "application/problem+json" {
		s.t.Errorf("Content-Type is %q", got)
	}
	if err := json.Unmarshal(response.Body.Bytes(), &p); err != nil {
		s.t.Fatalf("%v in %s", err, response.Body)
	}
	if p.Status != response.Code || p.Title != http.StatusText(response.Code) || p.RequestID != response.Header().Get("X-Request-Id") || p.RequestID == "" {
		s.t.Errorf("the body does not match the response: %+v in a %d", p, response.Code)
	}
	s.checkType(p)
	return p
}

// checkType checks that the type of the problem leads to its documentation.
func (s *service) checkType(p problem) {
	s.t.Helper()
	var explained struct {
		Type, Description string
		Status            int
	}
	response := s.do("GET", p.Type, "")
	if err := json.Unmarshal(response.Body.Bytes(), &explained); err != nil || explained.Type != p.Type || explained.Status != p.Status || explained.Description == "" {
		s.t.Errorf("%q of a %d leads to %d %s", p.Type, p.Status, response.Code, response.Body)
	}
}

// fields returns the names of the fields with errors.
func (p problem) fields() (fields []string) {
	for _, mistake := range p.Errors {
		fields = append(fields, mistake.Field)
	}
	return fields
}

type page struct {
	Items []struct{ Name string }
	Next  string
	Prev  string
}

// list returns a page, and checks that its links are in the header as well.
func (s *service) list(target string) (p page) {
	s.t.Helper()
	response := s.do("GET", target, "")
	if err := json.Unmarshal(response.Body.Bytes(), &p); response.Code != http.StatusOK || err != nil {
		s.t.Fatalf("GET %s: %d %s", target, response.Code, response.Body)
	}
	var links []string
	if p.Next != "" {
		links = append(links, "<"+p.Next+`>; rel="next"`)
	}
	if p.Prev != "" {
		links = append(links, "<"+p.Prev+`>; rel="prev"`)
	}
	if got := response.Header().Values("Link"); !slices.Equal(got, links) {
		s.t.Errorf("Link is %q, want %q", got, links)
	}
	return p
}

// lines returns the log so far.
func (s *service) lines() (lines []map[string]any) {
	s.t.Helper()
	for line := range strings.Lines(s.log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			s.t.Fatalf("%v in %s", err, line)
		}
		lines = append(lines, fields)
	}
	return lines
}

// scrape returns the metrics.
func (s *service) scrape() string {
	response := httptest.NewRecorder()
	s.metrics.Handler().ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	return response.Body.String()
}
