package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const refreshPath = "/v1/sessions/refresh"

// member is somebody with a shop.
func (s *surroundings) member() (b *browser, shop string) {
	s.t.Helper()
	b = s.browser()
	b.signIn("ada")
	return b, b.addShop("Tea")
}

func TestTokensAreInCookiesNoScriptAndNoOtherSiteGets(t *testing.T) {
	b, _ := newSurroundings(t).member()
	if len(b.given) != 2 {
		t.Fatalf("given: %v", b.given)
	}
	for _, cookie := range b.given {
		if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" || !strings.HasPrefix(cookie.Name, "__Host-") {
			t.Errorf("given: %v", cookie)
		}
	}
	if access, refresh := b.given[0], b.given[1]; access.MaxAge != 15*60-15 || refresh.MaxAge != 30*24*3600 {
		t.Errorf("kept for %d and %d seconds", access.MaxAge, refresh.MaxAge)
	}
}

func TestAnAccessTokenThatIsOverIsRenewedUnnoticed(t *testing.T) {
	for name, access := range map[string]string{"as the browser knows": "", "as the API says": "stale"} {
		t.Run(name, func(t *testing.T) {
			s := newSurroundings(t)
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

func TestOnlyPagesThatShowWhatIsTheVisitorsOwnRenewTheSession(t *testing.T) {
	s := newSurroundings(t)
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

func TestAShopIsShownThoughTheSessionHasEndedOrCannotBeRenewed(t *testing.T) {
	s := newSurroundings(t)
	b, shop := s.member()
	b.setCookie("__Host-access", "")
	s.meddle(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if r.URL.Path == refreshPath {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		api.ServeHTTP(w, r)
	})
	b.get(shop).want(200, "Tea", "Log out")
	s.meddle(nil)
	b.setCookie("__Host-refresh", "stale")
	b.get(shop).want(200, "Tea", "Log in")
	if b.hasCookie("__Host-refresh") {
		t.Error("the browser keeps a token that is over")
	}
}

func TestRequestsWithOneRefreshTokenKeepTheSessionAtAnyReplica(t *testing.T) {
	s := newSurroundings(t)
	b, shop := s.member()
	first := s.web
	s.serve(0)
	replicas := []string{first.URL, s.web.URL}
	like := b.submit(b.get(shop), shop+"/reviews", "stars", "4").action("/like")
	s.meddle(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if r.URL.Path == refreshPath {
			time.Sleep(100 * time.Millisecond)
		}
		api.ServeHTTP(w, r)
	})
	old := "__Host-refresh=" + b.cookie("__Host-refresh")
	click := func(replica string) {
		request := b.request("POST", like, nil, "Cookie", old)
		request.URL.Host = strings.TrimPrefix(replica, "https://")
		answer, err := s.web.Client().Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		answer.Body.Close()
		if answer.Request.URL.Path != shop {
			t.Errorf("led to %s", answer.Request.URL)
		}
		for _, cookie := range answer.Request.Response.Cookies() {
			b.client.Jar.SetCookies(b.site, []*http.Cookie{cookie})
		}
	}
	var clicks sync.WaitGroup
	for _, replica := range replicas {
		clicks.Go(func() { click(replica) })
		clicks.Go(func() { click(replica) })
	}
	clicks.Wait()
	click(replicas[0]) // sent before the browser had the answer
	b.setCookie("__Host-access", "")
	b.post(like, nil).want(200, "1 like", "Log out") // the session goes on
}

func TestABrowserThatLostTheAnswerToARenewalKeepsTheSession(t *testing.T) {
	s := newSurroundings(t)
	b, shop := s.member()
	b.setCookie("__Host-access", "")
	lost := 0
	s.meddle(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if r.URL.Path == refreshPath && lost < 10 {
			lost++
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

func TestAVisitorWhoLeavesDuringARenewalKeepsTheSession(t *testing.T) {
	s := newSurroundings(t)
	b, shop := s.member()
	b.setCookie("__Host-access", "")
	ctx, leave := context.WithCancel(t.Context())
	s.meddle(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if r.URL.Path == refreshPath {
			leave()
			time.Sleep(100 * time.Millisecond)
		}
		api.ServeHTTP(w, r)
	})
	review := url.Values{"stars": {"4"}}
	if answer, err := b.client.Do(b.request("POST", shop+"/reviews", review).WithContext(ctx)); err == nil {
		answer.Body.Close()
		t.Fatal("the visitor did not leave")
	}
	b.post(shop+"/reviews", review).want(200, "1 review", "Log out")
}

func TestASessionThatHasEndedLeadsToTheLoginAndBack(t *testing.T) {
	s := newSurroundings(t)
	b, shop := s.member()
	form := b.get(shop)
	for name, refresh := range map[string]string{"used before": b.cookie("__Host-refresh"), "never one": "stale"} {
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

// spend uses a refresh token at the API itself, and returns the next one, or "" if the session has ended.
func (s *surroundings) spend(token string) (next string) {
	s.t.Helper()
	answer, err := http.Post(s.api.URL+refreshPath, "application/json", strings.NewReader(`{"refreshToken": "`+token+`"}`))
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	var given struct{ RefreshToken string }
	if err := json.NewDecoder(answer.Body).Decode(&given); err != nil {
		s.t.Fatal(err)
	}
	return given.RefreshToken
}

func TestASessionOutlivesAnAPIThatIsAway(t *testing.T) {
	s := newSurroundings(t)
	b, shop := s.member()
	b.setCookie("__Host-access", "")
	s.meddle(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Error(w, "away", http.StatusServiceUnavailable)
	})
	b.post(shop+"/reviews", url.Values{"stars": {"4"}}).want(503)
	s.meddle(nil)
	b.post(shop+"/reviews", url.Values{"stars": {"4"}}).want(200, "1 review", "Log out")
}

func TestLoggingOutEndsTheSessionAndForgetsItEvenIfTheAPIIsAway(t *testing.T) {
	for name, away := range map[string]bool{"with the API": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			s := newSurroundings(t)
			b, _ := s.member()
			b.setCookie("__Host-access", "") // so that it is renewed before
			refresh := b.cookie("__Host-refresh")
			s.meddle(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
				if away && r.Method != "GET" {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				api.ServeHTTP(w, r)
			})
			b.submit(b.get("/"), "/logout").want(200, "Log in")
			if b.hasCookie("__Host-access") || b.hasCookie("__Host-refresh") {
				t.Error("the browser still has tokens")
			}
			s.meddle(nil)
			if told := s.count("DELETE", "/v1/sessions") == 1; told == away {
				t.Errorf("the API was told: %v", told)
			}
			if ended := s.spend(refresh) == ""; ended == away {
				t.Errorf("the session has ended: %v", ended)
			}
		})
	}
}
