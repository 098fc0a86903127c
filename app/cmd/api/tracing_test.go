package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// collector stores the exported spans in their wire format, in which texts can be searched.
type collector struct {
	*httptest.Server
	mu   sync.Mutex
	sent bytes.Buffer
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if r.URL.Path != "/v1/traces" {
			t.Errorf("sent to %s", r.URL.Path)
		}
		io.Copy(&c.sent, body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

// sendTraced sends a request as part of a trace that began elsewhere.
func (r *instance) sendTraced(method, path, body string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.api+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Traceparent", "00-"+traceID+"-"+spanID+"-01")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	response.Body.Close()
}

func TestATraceContinuesToTheStoreAndIsLogged(t *testing.T) {
	b := newBackends(t)
	b.addRedis()
	b.migrate()
	c := newCollector(t)
	r := startAPI(t, append(b.environment, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL)...)
	r.sendTraced("POST", "/v1/users?email=canary@example.org", `{"name": "canary", "email": "canary@example.org", "password": "canary canary"}`)
	r.sendTraced("GET", "/v1/shops/0192f0c4-7b1e-7abc-8def-012345678901?canary", "")
	if line := r.log.waitFor(t, "request"); line["traceId"] != traceID {
		t.Errorf("logged %v", line)
	}
	r.stop()
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	sent := c.sent.String()
	trace, _ := hex.DecodeString(traceID)
	parent, _ := hex.DecodeString(spanID)
	for _, part := range []string{string(trace), string(parent), "slipway-api", "POST /v1/users", "GET /v1/shops/{id}", "mysql INSERT", "INSERT INTO users", "mysql SELECT", "redis get", "redis evalsha"} {
		if !strings.Contains(sent, part) {
			t.Errorf("%q was not sent", part)
		}
	}
	if strings.Contains(sent, "canary") || strings.Contains(fmt.Sprint(r.log.lines), "canary") {
		t.Error("text of a client was exported or logged")
	}
}

func TestEveryLogLineNamesTheProcess(t *testing.T) {
	r := startAPI(t, "ENVIRONMENT=staging")
	named := startWeb(t, "ENVIRONMENT=staging", "API_URL=http://"+r.api, "OTEL_SERVICE_NAME=pages")
	named.status("/")
	r.log.waitFor(t, "request")
	named.log.waitFor(t, "request")
	for service, process := range map[string]*instance{"slipway-api": r, "pages": named} {
		process.stop()
		if err := process.wait(); err != nil {
			t.Fatal(err)
		}
		for _, line := range process.log.lines {
			if line["service"] != service || line["environment"] != "staging" || line["version"] != version {
				t.Errorf("%s logged %v", service, line)
			}
		}
	}
}

func TestNoTraceIsExportedWithRatioZeroUnlessTheCallerExportsIt(t *testing.T) {
	c := newCollector(t)
	r := startAPI(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_TRACES_SAMPLER_ARG=0", "OTEL_SERVICE_NAME=reviews")
	r.status("/v1/shops")
	r.sendTraced("GET", "/version", "")
	r.stop()
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	sent := c.sent.String()
	if strings.Contains(sent, "/v1/shops") || !strings.Contains(sent, "/version") || !strings.Contains(sent, "reviews") {
		t.Errorf("sent %q", sent)
	}
}

func TestTheTraceOfACallerIsLoggedWithoutACollector(t *testing.T) {
	r := startAPI(t)
	r.sendTraced("GET", "/version", "")
	if line := r.log.waitFor(t, "request"); line["traceId"] != traceID {
		t.Errorf("logged %v", line)
	}
}

func TestARequestWithoutATraceStartsOne(t *testing.T) {
	r := startAPI(t)
	r.status("/version")
	if id, _ := r.log.waitFor(t, "request")["traceId"].(string); len(id) != 32 {
		t.Errorf("the trace id is %q", id)
	}
}

func TestAnUnavailableCollectorIsNoError(t *testing.T) {
	c := newCollector(t)
	c.Close()
	r := startAPI(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL)
	r.sendTraced("GET", "/version", "")
	r.stop()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}
