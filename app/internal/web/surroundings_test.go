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

func TestNobodySendsAFormFromAnotherSite(t *testing.T) {
	s := newSurroundings(t)
	b, shop := s.member()
	review := url.Values{"stars": {"1"}}
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}} {
		b.post(shop+"/reviews", review, headers...).want(403, "That is not allowed")
		b.post("/logout", nil, headers...).want(403)
	}
	b.get(shop).want(200, "No review yet", "Log out")
}

func TestEveryAnswerCarriesTheHeadersOfAPage(t *testing.T) {
	s := newSurroundings(t)
	b, shop := s.member()
	for _, path := range []string{"/", shop, "/leaders", "/login", "/signup", "/shops/new", "/nowhere", "/static/nothing"} {
		header := b.get(path).header
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "same-origin",
			"Cache-Control":           "no-store",
			"Content-Type":            "text/html; charset=utf-8",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s of %s is %q", name, path, got)
			}
		}
	}
	if got := s.browser().get("/").header; got.Get("Cache-Control") != "private, no-cache" || got.Get("Vary") != "Cookie" {
		t.Errorf("a page of nobody has %v", got)
	}
}

func TestWhatIsNotThereIsAPageToo(t *testing.T) {
	s := newSurroundings(t)
	b := s.browser()
	for path, want := range map[string]int{"/nowhere": 404, "/shops/none": 404, "/shops/0192f0c4-7b1e-7abc-8def-012345678901": 404, "/shops/..%2F..%2Fversion": 404, "/logout": 405, "/shops": 405, "/?cursor=old": 400} {
		on := b.get(path)
		on.want(want, "Request "+on.header.Get("X-Request-Id"))
	}
	if got := b.get("/logout").header.Get("Allow"); got != "POST" {
		t.Errorf("allowed: %s", got)
	}
	b.post("/signup", url.Values{"name": {strings.Repeat("x", 11_000)}}).want(413, "That is too much")
	b.do(b.request("POST", "/signup?%", nil)).want(400)
}

func TestWhatIsSentOnceIsAddedOnceThoughAnAnswerIsLost(t *testing.T) {
	s := newSurroundings(t)
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
			s.meddle(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
				fine := true
				if r.Method == http.MethodPost {
					lost.Do(func() { fine = false })
				}
				if fine {
					api.ServeHTTP(w, r)
					return
				}
				api.ServeHTTP(httptest.NewRecorder(), r) // done, and its answer gets lost
				http.Error(w, "", http.StatusServiceUnavailable)
			})
			send()
			if got := s.count("POST", name) - before; got != 2 {
				t.Errorf("the API was asked %d times", got)
			}
			s.meddle(nil)
		})
	}
	if source := b.get("/?search=added").source; strings.Count(source, ">added once<") != 1 {
		t.Errorf("it is there %d times", strings.Count(source, ">added once<"))
	}
}

func TestALoginIsNotRepeated(t *testing.T) {
	s := newSurroundings(t)
	s.meddle(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, "", http.StatusServiceUnavailable)
	})
	s.browser().post("/login", url.Values{"email": {"a@example.org"}, "password": {"x"}}).want(503)
	if got := s.count("POST", "/v1/sessions"); got != 1 {
		t.Errorf("the API was asked %d times", got)
	}
}

func TestAnAPIThatIsAwayIsAPageThatSaysSo(t *testing.T) {
	answers := map[string]func(w http.ResponseWriter, r *http.Request, api http.Handler){
		"closed": func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
		"slow":   func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() },
		"not ready": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			http.Error(w, "canary", http.StatusServiceUnavailable)
		},
		"not the API": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.Write([]byte("<h1>canary")) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			s := newSurroundings(t)
			s.meddle(answer)
			started := time.Now()
			on := s.browser().get("/?search=wanted")
			on.want(503, "We will be back in a moment", "Request "+on.header.Get("X-Request-Id"))
			if took := time.Since(started); took > 3*time.Second {
				t.Errorf("said after %s", took)
			}
			if strings.Contains(on.source, "canary") || strings.Contains(s.log.String(), "canary") || strings.Contains(s.log.String(), "wanted") {
				t.Errorf("shown or logged:\n%s\n%s", on.source, &s.log)
			}
		})
	}
}

func TestAnAnswerTheAPIDoesNotPromiseIsA502(t *testing.T) {
	s := newSurroundings(t)
	for _, status := range []int{302, 418, 500} {
		s.meddle(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Location", r.URL.Path) // not followed
			w.WriteHeader(status)
		})
		s.browser().get("/leaders").want(map[int]int{302: 502, 418: 502, 500: 500}[status], "Something went wrong")
	}
}

func TestWhoAsksTooOftenIsToldWhenToComeBack(t *testing.T) {
	s := newSurroundings(t)
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

func TestTheAPIIsToldWhoAsksInWhichRequest(t *testing.T) {
	s := newSurroundings(t)
	s.browser().get("/leaders", "X-Request-Id", "abc", "X-Forwarded-For", "10.9.9.9", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	told := s.last().Header
	if told.Get("X-Request-Id") != "abc" || told.Get("X-Forwarded-For") != "127.0.0.1" || !strings.Contains(told.Get("Traceparent"), "4bf92f3577b34da6a3ce929d0e0e4736") {
		t.Errorf("told %v", told)
	}
	s.serve(1)
	s.browser().get("/leaders", "X-Forwarded-For", "10.9.9.9, 10.0.0.1")
	if got := s.last().Header.Values("X-Forwarded-For"); len(got) != 1 || got[0] != "10.0.0.1" {
		t.Errorf("behind a proxy it is told %v", got)
	}
}

func TestTheLogHasNoPasswordTokenAddressOrSearch(t *testing.T) {
	s := newSurroundings(t)
	b, shop := s.member()
	secrets := []string{password, "ada@example.org", "canary", b.cookie("__Host-access"), b.cookie("__Host-refresh")}
	b.setCookie("__Host-access", "canary")
	b.submit(b.get(shop), shop+"/reviews", "stars", "4", "text", "canary")
	secrets = append(secrets, b.cookie("__Host-access"), b.cookie("__Host-refresh"))
	b.get("/?search=canary&cursor=canary")
	s.api.Close()
	b.get("/?search=canary")
	b.post("/login", url.Values{"email": {"ada@example.org"}, "password": {password}})
	b.post("/logout", nil)
	for _, secret := range secrets {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("%s is in the log:\n%s", secret, &s.log)
		}
	}
	if !strings.Contains(s.log.String(), `"route":"/shops/{id}/reviews"`) || !strings.Contains(s.log.String(), "the API cannot be asked") {
		t.Errorf("logged:\n%s", &s.log)
	}
}
