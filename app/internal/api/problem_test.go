package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"slipway/app/internal/store"
)

func TestProblemsWithTheSameStatusDifferInTheirType(t *testing.T) {
	s := newService(t, &store.Memory{})
	given := s.signUpAndIn()
	shop := s.add("x")
	s.review(shop, 1, 5)
	s.want(http.StatusNoContent, "DELETE", "/v1/sessions", "", given.header()...)
	for _, request := range []struct {
		method, target, body, token, name string
	}{
		{"POST", "/v1/users", adasSignUp, "", "email-taken"},
		{"POST", shop + "/reviews", `{"stars": 1}`, s.as(1)[1], "already-reviewed"},
		{"POST", "/v1/sessions", `{"email": "ada@example.org", "password": "wrong"}`, "", "login-wrong"},
		{"POST", "/v1/sessions/refresh", `{"refreshToken": "` + given.RefreshToken + `"}`, "", "session-ended"},
		{"POST", "/v1/shops", `{"name": "x"}`, "", "access-token-missing"},
		{"POST", "/v1/shops", `{"name": "x"}`, "Bearer x", "access-token-invalid"},
		{"POST", "/v1/shops", `{`, s.as(1)[1], "malformed-body"},
		{"GET", "/v1/shops?limit=0", "", "", "invalid-query"},
	} {
		p := s.problem(s.do(request.method, request.target, request.body, "Authorization", request.token))
		if want := "/v1/problems/" + request.name; p.Type != want {
			t.Errorf("%s %s: %s, want %s", request.method, request.target, p.Type, want)
		}
	}
	s.want(http.StatusNotFound, "GET", "/v1/problems/nothing", "")
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, unrouted := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/v1/shops/", 404, ""},
		{"GET", "/v1/shops/not-a-uuid", 404, ""},
		{"GET", "/v1/shops/0192f0c4-7b1e-7abc-8def-012345678901", 404, ""},
		{"GET", "/livez", 404, ""},
		{"GET", "/metrics", 404, ""},
		{"GET", "/config", 404, ""},
		{"DELETE", "/v1/shops", 405, "GET, HEAD, POST"},
		{"GET", "/v1/shops/not-a-uuid/reviews", 404, ""},
		{"GET", "/v1/shops/0192f0c4-7b1e-7abc-8def-012345678901/reviews", 404, ""},
		{"GET", "/v1/users", 405, "POST"},
		{"POST", "/v1/shops/x", 405, "GET, HEAD, PUT, DELETE"},
		{"POST", "/version", 405, "GET, HEAD"},
	} {
		t.Run(unrouted.method+" "+unrouted.path, func(t *testing.T) {
			response := s.do(unrouted.method, unrouted.path, "")
			s.problem(response)
			if response.Code != unrouted.status || response.Header().Get("Allow") != unrouted.allow {
				t.Errorf("got %d, Allow %q", response.Code, response.Header().Get("Allow"))
			}
		})
	}
}

// stubStore is a store in which list replaces Shops.
type stubStore struct {
	store.Memory
	list func() ([]store.Shop, error)
}

func (b *stubStore) Shops(context.Context, string, store.Page) ([]store.Shop, error) { return b.list() }

func TestAPanicIsLoggedAndTheClientGetsA500(t *testing.T) {
	s := newService(t, &stubStore{list: func() ([]store.Shop, error) { panic("canary") }})
	response := s.do("GET", "/v1/shops", "", "X-Request-Id", "abc")
	if s.problem(response); response.Code != http.StatusInternalServerError || strings.Contains(response.Body.String(), "canary") {
		t.Errorf("%d %s", response.Code, response.Body)
	}
	line := s.lines()[0]
	if line["cause"] != "canary" || line["requestId"] != "abc" || !strings.Contains(fmt.Sprint(line["stack"]), "listShops") {
		t.Errorf("logged: %v", line)
	}
	if got := s.scrape(); !strings.Contains(got, "app_panics_total 1\n") || !strings.Contains(got, `code="500"`) {
		t.Error("not counted")
	}
}

// panickingWriter panics in the middle of a response.
type panickingWriter struct{ *httptest.ResponseRecorder }

func (panickingWriter) Write([]byte) (int, error) { panic("in the middle") }

func TestAPanicInTheMiddleOfAResponseClosesTheConnection(t *testing.T) {
	s := newService(t, &store.Memory{})
	defer func() {
		if cause := recover(); cause != http.ErrAbortHandler {
			t.Errorf("the server would see %v", cause)
		}
	}()
	s.ServeHTTP(panickingWriter{httptest.NewRecorder()}, httptest.NewRequest("GET", "/v1/shops", nil))
}

func TestAnErrorOfTheStoreIsLoggedAndTheClientGetsA500(t *testing.T) {
	s := newService(t, &stubStore{list: func() ([]store.Shop, error) { return nil, io.ErrClosedPipe }})
	response := s.do("GET", "/v1/shops", "")
	if s.problem(response); response.Code != http.StatusInternalServerError || strings.Contains(response.Body.String(), "pipe") {
		t.Errorf("%d %s", response.Code, response.Body)
	}
	if got := s.lines()[0]["error"]; got != "list shops: io: read/write on closed pipe" {
		t.Errorf("logged: %v", got)
	}
}

func TestAnUnavailableStoreIsA503WithRetryAfter(t *testing.T) {
	s := newService(t, &stubStore{list: func() ([]store.Shop, error) { return nil, fmt.Errorf("%w: canary", store.ErrUnavailable) }})
	response := s.do("GET", "/v1/shops", "")
	if s.problem(response); response.Code != http.StatusServiceUnavailable || response.Header().Get("Retry-After") != "1" || strings.Contains(response.Body.String(), "canary") {
		t.Errorf("%d %v %s", response.Code, response.Header(), response.Body)
	}
}

func TestAFullStoreIsA507(t *testing.T) {
	s := newService(t, &stubStore{list: func() ([]store.Shop, error) { return nil, store.ErrFull }})
	response := s.do("GET", "/v1/shops", "")
	if s.problem(response); response.Code != http.StatusInsufficientStorage {
		t.Errorf("got %d", response.Code)
	}
}
