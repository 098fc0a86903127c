package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const refreshPath = "/v1/sessions/refresh"

// member returns the browser of a logged-in visitor, and the path of a shop that they added.
func (s *testSite) member() (b *browser, shop string) {
	s.t.Helper()
	b = s.browser()
	b.signIn("ada")
	return b, b.addShop("Tea")
}

func TestTokensAreInCookiesThatScriptsAndOtherSitesCannotRead(t *testing.T) {
	b, _ := newTestSite(t).member()
	if len(b.given) != 2 {
		t.Fatalf("given: %v", b.given)
	}
	for _, cookie := range b.given {
		if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" || !strings.HasPrefix(cookie.Name, "__Host-") {
			t.Errorf("given: %v", cookie)
		}
	}
	if access, refresh := b.given[0], b.given[1]; access.MaxAge != 15*60-15 || refresh.MaxAge != 30*24*3600 {
		t.Errorf("stored for %d and %d seconds", access.MaxAge, refresh.MaxAge)
	}
}

func TestAnExpiredAccessTokenIsRenewed(t *testing.T) {
	for name, access := range map[string]string{"deleted by the browser": "", "refused by the API": "stale"} {
		t.Run(name, func(t *testing.T) {
			s := newTestSite(t)
			b, shop := s.member()
			before := b.cookie("__Host-refresh")
			b.setCookie("__Host-access", access)
			b.submit(b.get(shop), shop+"/reviews", "stars", "4").want(200, "1 review")
			if got := s.count("POST", refreshPath); got != 1 {
				t.Errorf("renewed %d times", got)
			}
			if now := b.cookie("__Host-refresh"); now == before || now == "" || !b.hasCookie("__Host-access") {
				t.Error("the browser was not given the new tokens")
			}
		})
	}
}

func TestOnlyPagesWithPersonalContentRenewTheSession(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	for path, want := range map[string]int{"/": 0, "/leaders": 0, "/shops/new": 0, shop: 1, shop + "/edit": 1, "/account": 1} {
		before := s.count("POST", refreshPath)
		b.setCookie("__Host-access", "")
		b.get(path).want(200, "Log out")
		if got := s.count("POST", refreshPath) - before; got != want {
			t.Errorf("%s: renewed %d times, want %d", path, got, want)
		}
	}
}

func TestAShopIsShownEvenIfTheSessionHasEndedOrCannotBeRenewed(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	b.setCookie("__Host-access", "")
	s.stubAPI(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if r.URL.Path == refreshPath {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		api.ServeHTTP(w, r)
	})
	b.get(shop).want(200, "Tea", "Log out")
	s.stubAPI(nil)
	b.setCookie("__Host-refresh", "stale")
	b.get(shop).want(200, "Tea", "Log in")
	if b.hasCookie("__Host-refresh") {
		t.Error("the browser keeps an invalid token")
	}
}

func TestConcurrentRequestsWithOneRefreshTokenKeepTheSession(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	first := s.web
	s.serve(0)
	replicas := []string{first.URL, s.web.URL}
	like := b.submit(b.get(shop), shop+"/reviews", "stars", "4").action("/like")
	s.stubAPI(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if r.URL.Path == refreshPath {
			time.Sleep(100 * time.Millisecond)
		}
		api.ServeHTTP(w, r)
	})
	old := "__Host-refresh=" + b.cookie("__Host-refresh")
	click := func(replica string) {
		request := b.request("POST", like, nil, "Cookie", old)
		request.URL.Host = strings.TrimPrefix(replica, "https://")
		response, err := s.web.Client().Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
		if response.Request.URL.Path != shop {
			t.Errorf("led to %s", response.Request.URL)
		}
		for _, cookie := range response.Request.Response.Cookies() {
			b.client.Jar.SetCookies(b.site, []*http.Cookie{cookie})
		}
	}
	var clicks sync.WaitGroup
	for _, replica := range replicas {
		clicks.Go(func() { click(replica) })
		clicks.Go(func() { click(replica) })
	}
	clicks.Wait()
	click(replicas[0]) // sent before the browser received the response
	b.setCookie("__Host-access", "")
	b.post(like, nil).want(200, "1 like", "Log out") // the session continues
}

func TestALostResponseToARenewalDoesNotEndTheSession(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	b.setCookie("__Host-access", "")
	var renewals atomic.Int32
	s.stubAPI(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if r.URL.Path == refreshPath && renewals.Add(1) <= 10 {
			api.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		api.ServeHTTP(w, r)
	})
	review := url.Values{"stars": {"4"}}
	for range 10 {
		b.post(shop+"/reviews", review).want(503)
	}
	b.post(shop+"/reviews", review).want(200, "1 review", "Log out")
}

func TestADisconnectDuringARenewalDoesNotEndTheSession(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	b.setCookie("__Host-access", "")
	ctx, disconnect := context.WithCancel(t.Context())
	s.stubAPI(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if r.URL.Path == refreshPath {
			disconnect()
			time.Sleep(100 * time.Millisecond)
		}
		api.ServeHTTP(w, r)
	})
	review := url.Values{"stars": {"4"}}
	if response, err := b.client.Do(b.request("POST", shop+"/reviews", review).WithContext(ctx)); err == nil {
		response.Body.Close()
		t.Fatal("the request was not canceled")
	}
	b.post(shop+"/reviews", review).want(200, "1 review", "Log out")
}

func TestAnEndedSessionLeadsToTheLoginAndBack(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	form := b.get(shop)
	for name, refresh := range map[string]string{"used before": b.cookie("__Host-refresh"), "invalid": "stale"} {
		t.Run(name, func(t *testing.T) {
			if name == "used before" {
				s.spend(s.spend(refresh)) // the token is two renewals old
			}
			b.setCookie("__Host-access", "")
			b.setCookie("__Host-refresh", refresh)
			login := b.submit(form, shop+"/reviews", "stars", "4")
			login.want(200, "Your session has ended", "Sign up")
			if b.hasCookie("__Host-access") || b.hasCookie("__Host-refresh") {
				t.Error("the browser still has tokens")
			}
			if got := b.submit(login, "/login", "email", "ada@example.org", "password", password).path; got != shop {
				t.Errorf("led to %s", got)
			}
		})
	}
}

// spend uses a refresh token without the pages, and returns the next one, or "" if the session has ended.
func (s *testSite) spend(token string) (next string) {
	s.t.Helper()
	response, err := http.Post(s.api.URL+refreshPath, "application/json", strings.NewReader(`{"refreshToken": "`+token+`"}`))
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var issued struct{ RefreshToken string }
	if err := json.NewDecoder(response.Body).Decode(&issued); err != nil {
		s.t.Fatal(err)
	}
	return issued.RefreshToken
}

func TestASessionSurvivesAnOutageOfTheAPI(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	b.setCookie("__Host-access", "")
	s.stubAPI(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	})
	b.post(shop+"/reviews", url.Values{"stars": {"4"}}).want(503)
	s.stubAPI(nil)
	b.post(shop+"/reviews", url.Values{"stars": {"4"}}).want(200, "1 review", "Log out")
}

func TestLoggingOutEndsTheSessionAndDeletesCookiesEvenWithoutTheAPI(t *testing.T) {
	for name, unavailable := range map[string]bool{"with the API": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			s := newTestSite(t)
			b, _ := s.member()
			b.setCookie("__Host-access", "") // so that it is renewed before
			refresh := b.cookie("__Host-refresh")
			s.stubAPI(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
				if unavailable && r.Method != "GET" {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				api.ServeHTTP(w, r)
			})
			b.submit(b.get("/"), "/logout").want(200, "Log in")
			if b.hasCookie("__Host-access") || b.hasCookie("__Host-refresh") {
				t.Error("the browser still has tokens")
			}
			s.stubAPI(nil)
			if called := s.count("DELETE", "/v1/sessions") == 1; called == unavailable {
				t.Errorf("the API was called: %v", called)
			}
			if ended := s.spend(refresh) == ""; ended == unavailable {
				t.Errorf("the session has ended: %v", ended)
			}
		})
	}
}
