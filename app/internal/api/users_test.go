package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"slipway/app/internal/api"
	"slipway/app/internal/config"
	"slipway/app/internal/store"
)

const (
	adasSignUp = `{"name": "Ada", "email": "Ada@example.org", "password": "canary horse battery"}`
	adasLogin  = `{"email": "ada@Example.org", "password": "canary horse battery"}`
)

type tokens struct {
	AccessToken, TokenType, RefreshToken string
	ExpiresIn                            int
}

// tokensOf decodes the tokens of a response with this status.
func (s *service) tokensOf(response *httptest.ResponseRecorder, want int) (given tokens) {
	s.t.Helper()
	if err := json.Unmarshal(response.Body.Bytes(), &given); response.Code != want || err != nil || given.TokenType != "Bearer" || given.ExpiresIn != 900 {
		s.t.Fatalf("%d %s", response.Code, response.Body)
	}
	if response.Header().Get("Cache-Control") != "no-store" {
		s.t.Error("tokens may be cached")
	}
	return given
}

func (s *service) signUpAndIn() tokens {
	s.t.Helper()
	if response := s.do("POST", "/v1/users", adasSignUp); response.Code != http.StatusCreated {
		s.t.Fatalf("%d %s", response.Code, response.Body)
	}
	return s.tokensOf(s.do("POST", "/v1/sessions", adasLogin), http.StatusCreated)
}

func (s *service) refresh(token string) *httptest.ResponseRecorder {
	return s.do("POST", "/v1/sessions/refresh", `{"refreshToken": "`+token+`"}`)
}

func TestAUserSignsUpLogsInAndAddsAShop(t *testing.T) {
	s := newService(t, &store.Memory{})
	given := s.signUpAndIn()
	response := s.do("POST", "/v1/shops", `{"name": "x"}`, "Authorization", "bearer "+given.AccessToken)
	if response.Code != http.StatusCreated {
		t.Errorf("%d %s", response.Code, response.Body)
	}
	again := s.do("POST", "/v1/users", adasSignUp)
	if p := s.problem(again); again.Code != http.StatusConflict || !slices.Equal(p.fields(), []string{"email"}) {
		t.Errorf("a second sign-up: %d %+v", again.Code, p)
	}
}

func TestAWrongPasswordAndAnUnknownUserLookTheSame(t *testing.T) {
	s := newService(t, &store.Memory{})
	s.signUpAndIn()
	var details []string
	for _, login := range []string{`{"email": "ada@example.org", "password": "wrong"}`, `{"email": "eve@example.org", "password": "wrong"}`} {
		response := s.do("POST", "/v1/sessions", login)
		if response.Code != http.StatusUnauthorized {
			t.Errorf("got %d", response.Code)
		}
		details = append(details, s.problem(response).Detail)
	}
	if details[0] != details[1] {
		t.Errorf("got %q", details)
	}
}

func TestARepeatedRefreshReturnsTheSameTokenAtAnyReplica(t *testing.T) {
	s := newService(t, &store.Memory{})
	first := s.signUpAndIn()
	second := s.tokensOf(s.refresh(first.RefreshToken), http.StatusOK)
	if first.RefreshToken == second.RefreshToken {
		t.Error("it is the same token")
	}
	options := s.options()
	options.SigningKeys = []config.Secret{config.NewSecret("the next key, while it is rolled out"), signingKey}
	for _, replica := range []http.Handler{s.Handler, api.New(options)} {
		s.Handler = replica
		for range 10 {
			if again := s.tokensOf(s.refresh(first.RefreshToken), http.StatusOK); again.RefreshToken != second.RefreshToken {
				t.Error("a retry gets another token than the first request")
			}
		}
	}
	s.tokensOf(s.refresh(second.RefreshToken), http.StatusOK)
}

func TestReuseOfARefreshTokenAfterTheGracePeriodEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, &store.Memory{})
		first := s.signUpAndIn()
		second := s.tokensOf(s.refresh(first.RefreshToken), http.StatusOK)
		time.Sleep(store.RenewalGrace)
		for _, token := range []string{first.RefreshToken, second.RefreshToken} {
			response := s.refresh(token)
			if s.problem(response); response.Code != http.StatusUnauthorized {
				t.Errorf("got %d", response.Code)
			}
		}
	})
}

func TestTabsThatRefreshAtTheSameTimeStayLoggedIn(t *testing.T) {
	s := newService(t, &store.Memory{})
	first := s.signUpAndIn()
	var responses [8]*httptest.ResponseRecorder
	var tabs sync.WaitGroup
	for at := range responses {
		tabs.Go(func() { responses[at] = s.refresh(first.RefreshToken) })
	}
	tabs.Wait()
	for _, response := range responses {
		given := s.tokensOf(response, http.StatusOK)
		s.tokensOf(s.refresh(given.RefreshToken), http.StatusOK)
	}
}

func TestALoggedOutSessionCannotBeRefreshed(t *testing.T) {
	s := newService(t, &store.Memory{})
	given := s.signUpAndIn()
	for range 2 {
		if response := s.do("DELETE", "/v1/sessions", "", "Authorization", "Bearer "+given.AccessToken); response.Code != http.StatusNoContent {
			t.Errorf("got %d", response.Code)
		}
	}
	if response := s.refresh(given.RefreshToken); response.Code != http.StatusUnauthorized {
		t.Errorf("got %d", response.Code)
	}
}

func TestWithoutAValidTokenNothingIsWritten(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	for _, request := range [][2]string{
		{"POST", "/v1/shops"}, {"POST", shop + "/reviews"}, {"PUT", "/v1/reviews/x/like"}, {"DELETE", "/v1/reviews/x/like"}, {"DELETE", "/v1/sessions"},
		{"PUT", shop}, {"DELETE", shop}, {"PUT", "/v1/reviews/x"}, {"DELETE", "/v1/reviews/x"}, {"DELETE", "/v1/sessions/others"},
		{"PUT", "/v1/users/me/password"}, {"POST", "/v1/users/me/deletion"},
	} {
		for given, want := range map[string]string{"": "Bearer", "Basic YTpi": "Bearer", "Bearer a.b.c": `Bearer error="invalid_token"`} {
			response := s.do(request[0], request[1], `{"name": "y", "stars": 1}`, "Authorization", given)
			if s.problem(response); response.Code != http.StatusUnauthorized || response.Header().Get("WWW-Authenticate") != want {
				t.Errorf("%v with %q: %d, %q", request, given, response.Code, response.Header().Get("WWW-Authenticate"))
			}
		}
	}
	if got := s.list("/v1/shops").Items; len(got) != 1 {
		t.Errorf("added without a token: %v", got)
	}
}

func TestEachInvalidFieldOfAUserIsReported(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, wrong := range []struct {
		target, body string
		fields       []string
	}{
		{"/v1/users", `{}`, []string{"email", "name", "password"}},
		{"/v1/users", `{"name": "x", "email": "Ada <ada@example.org>", "password": "123456789"}`, []string{"email", "password"}},
		{"/v1/users", `{"name": "x\ny", "email": "a@b", "password": "` + strings.Repeat("x", 129) + `", "admin": true}`, []string{"admin", "name", "password"}},
		{"/v1/users", `{"name": "x", "email": "` + strings.Repeat("x", 251) + `@b.c", "password": 1234567890}`, []string{"email", "password"}},
		{"/v1/sessions", `{}`, []string{"email", "password"}},
		{"/v1/sessions/refresh", `{}`, []string{"refreshToken"}},
		{"/v1/sessions/refresh", `{"refreshToken": "x"}`, []string{"refreshToken"}},
	} {
		response := s.do("POST", wrong.target, wrong.body)
		if got := s.problem(response).fields(); response.Code != http.StatusUnprocessableEntity || !slices.Equal(got, wrong.fields) {
			t.Errorf("%s %s: %d naming %v, want %v", wrong.target, wrong.body, response.Code, got, wrong.fields)
		}
	}
}

func TestTheLogContainsNoPasswordTokenOrAddress(t *testing.T) {
	s := newService(t, &store.Memory{})
	first := s.signUpAndIn()
	second := s.tokensOf(s.refresh(first.RefreshToken), http.StatusOK)
	s.do("POST", "/v1/users", adasSignUp)
	s.do("POST", "/v1/users", adasSignUp+"x")
	s.do("POST", "/v1/sessions", `{"email": "ada@example.org", "password": "canary, but wrong"}`)
	s.do("POST", "/v1/sessions?email=ada@example.org&password=canary", adasLogin)
	s.do("POST", "/v1/shops", `{"name": "x"}`, "Authorization", "Bearer "+second.AccessToken)
	s.do("POST", "/v1/shops", `{"name": "x"}`, "Authorization", "Bearer x"+second.AccessToken)
	s.do("DELETE", "/v1/sessions", "", "Authorization", "Bearer "+second.AccessToken)
	s.refresh(first.RefreshToken)
	// Request IDs are random letters, and may contain one of the short secrets by chance.
	log := strings.ToLower(regexp.MustCompile(`"requestId":"[^"]*"`).ReplaceAllString(s.log.String(), ""))
	if len(s.lines()) < 9 {
		t.Fatalf("logged:\n%s", log)
	}
	for _, secret := range []string{"canary", "horse", "@", "ada", "example.org", "argon2", "bearer", "eyj",
		first.AccessToken, second.AccessToken, first.RefreshToken, second.RefreshToken} {
		if strings.Contains(log, strings.ToLower(secret)) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
}
