package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// unreachableURL leads to a port where nothing listens.
const unreachableURL = "http://127.0.0.1:1"

func startWeb(t *testing.T, environment ...string) *instance {
	t.Helper()
	return startCommand(t, []string{"api", "web"}, environment)
}

func TestThePagesShowDataOfTheAPI(t *testing.T) {
	api := startAPI(t)
	api.post("/v1/shops", `{"name": "Tea & Cake"}`, api.signIn())
	pages := startWeb(t, "API_URL=http://"+api.api)
	body, header := pages.get(pages.api, "/")
	if !strings.Contains(body, "Tea &amp; Cake") || header.Get("X-Request-Id") == "" {
		t.Errorf("%v\n%s", header, body)
	}
	metrics, _ := pages.get(pages.admin, "/metrics")
	if want := `http_requests_total{code="200",method="GET",route="/{$}"} 1`; !strings.Contains(metrics, want) {
		t.Errorf("%s is missing", want)
	}
	pages.stop()
	if err := pages.wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestThePagesAreReadyWithoutTheAPIAndRespond503(t *testing.T) {
	pages := startWeb(t, "API_URL="+unreachableURL)
	for range 2 {
		if status, _ := pages.status("/"); status != http.StatusServiceUnavailable {
			t.Errorf("got %d", status)
		}
		for _, probe := range []string{"livez", "startupz", "readyz"} {
			if got := pages.probe(probe); got != http.StatusOK {
				t.Errorf("/%s responds %d", probe, got)
			}
		}
	}
}

func TestATraceContinuesFromThePagesToTheAPI(t *testing.T) {
	c := newCollector(t)
	collect := "OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL
	api := startAPI(t, collect)
	pages := startWeb(t, collect, "API_URL=http://"+api.api)
	pages.get(pages.api, "/leaders?canary") // a trace that begins here
	pageLine, apiLine := pages.log.waitFor(t, "request"), api.log.waitFor(t, "request")
	if id := fmt.Sprint(pageLine["traceId"]); len(id) != 32 || apiLine["traceId"] != id || apiLine["requestId"] != pageLine["requestId"] {
		t.Errorf("logged %v and %v", pageLine, apiLine)
	}
	for _, r := range []*instance{pages, api} {
		r.stop()
		if err := r.wait(); err != nil {
			t.Fatal(err)
		}
	}
	sent := c.sent.String()
	for _, part := range []string{"slipway-web", "slipway-api", "GET /leaders", "GET /v1/leaderboard", "server.address"} {
		if !strings.Contains(sent, part) {
			t.Errorf("%q was not sent", part)
		}
	}
	if strings.Contains(sent, "canary") {
		t.Error("a query was exported")
	}
}
