package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestALostResponseOfTheAPIAddsNothingTwice(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	for name, send := range map[string]func(){
		"/v1/shops":               func() { b.post("/shops", url.Values{"name": {"added once"}}).want(200) },
		"/v1" + shop + "/reviews": func() { b.post(shop+"/reviews", url.Values{"stars": {"5"}}).want(200) },
		"/v1/users": func() {
			b.post("/signup", url.Values{"name": {"Bob"}, "email": {"bob@example.org"}, "password": {"correct horse battery"}}).want(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.count("POST", name)
			var lost sync.Once
			s.stubAPI(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
				ok := true
				if r.Method == http.MethodPost {
					lost.Do(func() { ok = false })
				}
				if ok {
					api.ServeHTTP(w, r)
					return
				}
				api.ServeHTTP(httptest.NewRecorder(), r) // succeeds, but the response is lost
				http.Error(w, "", http.StatusServiceUnavailable)
			})
			send()
			if got := s.count("POST", name) - before; got != 2 {
				t.Errorf("the API was called %d times", got)
			}
			s.stubAPI(nil)
		})
	}
	if source := b.get("/?search=added").source; strings.Count(source, ">added once<") != 1 {
		t.Errorf("the shop was added %d times", strings.Count(source, ">added once<"))
	}
}

func TestALoginIsNotSentAgain(t *testing.T) {
	s := newTestSite(t)
	s.stubAPI(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, "", http.StatusServiceUnavailable)
	})
	s.browser().post("/login", url.Values{"email": {"a@example.org"}, "password": {"x"}}).want(503)
	if got := s.count("POST", "/v1/sessions"); got != 1 {
		t.Errorf("the API was called %d times", got)
	}
}

func TestAnUnavailableAPIIsExplainedByAPage(t *testing.T) {
	responses := map[string]func(w http.ResponseWriter, r *http.Request, api http.Handler){
		"closed": func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
		"slow":   func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() },
		"not ready": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			http.Error(w, "canary", http.StatusServiceUnavailable)
		},
		"not the API": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.Write([]byte("<h1>canary")) },
	}
	for name, response := range responses {
		t.Run(name, func(t *testing.T) {
			s := newTestSite(t)
			s.stubAPI(response)
			started := time.Now()
			on := s.browser().get("/?search=wanted")
			on.want(503, "We will be back in a moment", "Request "+on.header.Get("X-Request-Id"))
			if took := time.Since(started); took > 3*time.Second {
				t.Errorf("shown after %s", took)
			}
			if strings.Contains(on.source, "canary") || strings.Contains(s.log.String(), "canary") || strings.Contains(s.log.String(), "wanted") {
				t.Errorf("shown or logged:\n%s\n%s", on.source, &s.log)
			}
		})
	}
}

func TestAnUndocumentedResponseOfTheAPIIsA502(t *testing.T) {
	s := newTestSite(t)
	for _, status := range []int{302, 418, 500} {
		s.stubAPI(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Location", r.URL.Path) // not followed
			w.WriteHeader(status)
		})
		s.browser().get("/leaders").want(map[int]int{302: 502, 418: 502, 500: 500}[status], "Something went wrong")
	}
}

func TestTooManyRequestsAreExplainedWithTheTimeToWait(t *testing.T) {
	s := newTestSite(t)
	s.file.RateLimit.Logins = 1
	b := s.browser()
	b.submit(b.get("/login"), "/login", "email", "ada@example.org", "password", "wrong").want(403)
	on := b.submit(b.get("/login"), "/login", "email", "ada@example.org", "password", "wrong")
	on.want(429, "Too many requests", "Try again in 60 seconds")
	if got := on.header.Get("Retry-After"); got != "60" {
		t.Errorf("Retry-After is %q", got)
	}
	s.browser().get("/").want(200)
}

func TestTheAPIGetsTheClientAddressTheRequestIDAndTheTrace(t *testing.T) {
	s := newTestSite(t)
	s.browser().get("/leaders", "X-Request-Id", "abc", "X-Forwarded-For", "10.9.9.9", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	header := s.last().Header
	if header.Get("X-Request-Id") != "abc" || header.Get("X-Forwarded-For") != "127.0.0.1" || !strings.Contains(header.Get("Traceparent"), "4bf92f3577b34da6a3ce929d0e0e4736") {
		t.Errorf("the API got %v", header)
	}
	s.serve(1)
	s.browser().get("/leaders", "X-Forwarded-For", "10.9.9.9, 10.0.0.1")
	if got := s.last().Header.Values("X-Forwarded-For"); len(got) != 1 || got[0] != "10.0.0.1" {
		t.Errorf("behind a proxy the API got %v", got)
	}
}
