package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"slipway/app/internal/store"
)

func TestOnlyAValidRequestIDIsAccepted(t *testing.T) {
	s := newService(t, &store.Memory{})
	if got := s.do("GET", "/version", "", "X-Request-Id", "trace-1.a_B").Header().Get("X-Request-Id"); got != "trace-1.a_B" {
		t.Errorf("got %q", got)
	}
	seen := map[string]bool{}
	for _, given := range []string{"", "two words", "line\nbreak", "<script>", strings.Repeat("x", 65)} {
		got := s.do("GET", "/version", "", "X-Request-Id", given).Header().Get("X-Request-Id")
		if got == given || len(got) < 20 || seen[got] {
			t.Errorf("%q gave %q", given, got)
		}
		seen[got] = true
	}
}

func TestEachRequestIsLoggedInOneLineWithoutItsQuery(t *testing.T) {
	s := newService(t, &store.Memory{})
	response := s.do("GET", "/v1/shops?cursor=canary", "", "X-Request-Id", "abc")
	lines := s.lines()
	if len(lines) != 1 || strings.Contains(s.log.String(), "canary") {
		t.Fatalf("logged:\n%s", s.log.String())
	}
	for field, want := range map[string]any{
		"msg": "request", "method": "GET", "route": "/v1/shops", "path": "/v1/shops", "status": 400.0,
		"bytes": float64(response.Body.Len()), "requestId": "abc",
	} {
		if lines[0][field] != want {
			t.Errorf("%s is %v, want %v", field, lines[0][field], want)
		}
	}
	if _, isNumber := lines[0]["durationMs"].(float64); !isNumber {
		t.Errorf("durationMs is %v", lines[0]["durationMs"])
	}
}

func TestRequestsAreCountedByRouteNotByPath(t *testing.T) {
	s := newService(t, &store.Memory{})
	s.do("GET", s.add("x"), "")
	s.do("GET", "/v1/shops/canary", "")
	s.do("GET", "/canary/path", "")
	s.do("CANARY", "/version", "")
	got := s.scrape()
	for _, series := range []string{
		`http_requests_total{code="201",method="POST",route="/v1/shops"} 1`,
		`http_requests_total{code="200",method="GET",route="/v1/shops/{id}"} 1`,
		`http_requests_total{code="404",method="GET",route="/v1/shops/{id}"} 1`,
		`http_requests_total{code="404",method="GET",route="/"} 1`,
		`http_requests_total{code="405",method="other",route="/version"} 1`,
		`http_request_duration_seconds_count{code="200",method="GET",route="/v1/shops/{id}"} 1`,
		`http_requests_in_flight 0`,
	} {
		if !strings.Contains(got, series+"\n") {
			t.Errorf("%s is missing", series)
		}
	}
	if strings.Contains(strings.ToLower(got), "canary") {
		t.Error("a client created a series")
	}
}

func TestEveryResponseHasTheHeadersOfTheAPI(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, path := range []string{"/v1/shops", "/nowhere"} {
		header := s.do("GET", path, "").Header()
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Notice": ""} {
			if got := header.Get(name); got != want {
				t.Errorf("%s of %s is %q", name, path, got)
			}
		}
	}
	s.file.Notice = "back at 5 pm"
	if got := s.do("GET", "/nowhere", "").Header().Get("X-Notice"); got != "back at 5 pm" {
		t.Errorf("X-Notice is %q", got)
	}
}

func TestVersionReportsTheRunningVersionAndItsLimits(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	var got map[string]any
	if err := json.Unmarshal(newService(t, &store.Memory{}).do("GET", "/version", "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["version"] != "src-1234" || got["environment"] != "test" || !strings.HasPrefix(fmt.Sprint(got["goVersion"]), "go1.") || got["goMaxProcs"].(float64) < 1 {
		t.Errorf("got %v", got)
	}
	if limit, has := got["goMemLimitBytes"]; !has || limit != nil {
		t.Errorf("goMemLimitBytes is %v without a limit", limit)
	}
}
