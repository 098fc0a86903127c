package api_test

import (
	"net/http"
	"testing"

	"slipway/app/internal/api"
	"slipway/app/internal/config"
	"slipway/app/internal/forwarded"
	"slipway/app/internal/store"
)

// wantStatus sends a request, checks the status and returns the headers of the response.
func (s *service) wantStatus(want int, method, target, body string, headers ...string) http.Header {
	s.t.Helper()
	response := s.do(method, target, body, headers...)
	if response.Code != want {
		s.t.Errorf("%s %s: %d %s, want %d", method, target, response.Code, response.Body, want)
	}
	return response.Header()
}

func TestTooManyRequestsAreA429WithRetryAfter(t *testing.T) {
	s := newService(t, &store.Memory{})
	s.file.RateLimit = config.RateLimit{Requests: 2, Logins: 1}
	first := s.wantStatus(200, "GET", "/v1/shops", "")
	if first.Get("RateLimit-Policy") != `"requests";q=2;w=60` || first.Get("RateLimit") != `"requests";r=1;t=30` {
		t.Errorf("got %v", first)
	}
	s.wantStatus(200, "GET", "/v1/leaderboard", "")
	refused := s.do("GET", "/v1/shops", "")
	if s.problem(refused); refused.Code != http.StatusTooManyRequests || refused.Header().Get("Retry-After") != "30" || refused.Header().Get("RateLimit") != `"requests";r=0;t=60` {
		t.Errorf("%d %v", refused.Code, refused.Header())
	}
	s.document().check("GET", "/v1/shops", refused)
	s.wantStatus(200, "GET", "/v1/shops", "", s.as(1)...) // users are counted separately from their address
	s.wantStatus(200, "GET", "/version", "")              // not limited
	s.wantStatus(401, "POST", "/v1/sessions", `{"email": "a@b", "password": "x"}`)
	s.wantStatus(429, "POST", "/v1/sessions", `{"email": "a@c", "password": "y"}`, s.as(2)...)
	s.file.RateLimit = config.RateLimit{}
	if header := s.wantStatus(200, "GET", "/v1/shops", ""); header.Get("RateLimit") != "" {
		t.Errorf("no limit is shown as %q", header.Get("RateLimit"))
	}
}

func trust(t *testing.T, proxies string) forwarded.Proxies {
	t.Helper()
	trusted, err := forwarded.Parse(proxies)
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

func TestTheClientAddressComesFromTrustedProxies(t *testing.T) {
	s := newService(t, &store.Memory{})
	s.file.RateLimit = config.RateLimit{Requests: 1}
	options := s.options()
	options.TrustedProxies = trust(t, "1")
	s.Handler = api.New(options)
	from := func(want int, forwarded string) {
		t.Helper()
		s.wantStatus(want, "GET", "/v1/shops", "", "X-Forwarded-For", forwarded)
	}
	from(200, "10.0.0.1")
	from(429, "10.0.0.1")
	from(429, "10.9.9.9, 10.0.0.1") // what the client wrote itself is ignored
	from(200, "10.0.0.1, 10.0.0.2")
	from(200, "2001:db8::1")
	from(429, "2001:db8::2") // the same network
	from(200, "2001:db8:0:1::2")

	s.Handler = api.New(s.options()) // without trusted proxies the peer counts
	s.wantStatus(200, "GET", "/v1/shops", "", "X-Forwarded-For", "10.0.0.3")
	s.wantStatus(429, "GET", "/v1/shops", "", "X-Forwarded-For", "10.0.0.4")
}
