package api_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"slipway/app/internal/api"
	"slipway/app/internal/config"
	"slipway/app/internal/limit"
	"slipway/app/internal/metrics"
	"slipway/app/internal/redis/redistest"
	"slipway/app/internal/store"
)

// newGuessedService returns a service behind a proxy, with Ada's account and a limit of three guesses.
func newGuessedService(t *testing.T, limiters ...*limit.Limiter) *service {
	s := newService(t, &store.Memory{})
	s.file.RateLimit = config.RateLimit{Guesses: 3}
	options := s.options()
	options.TrustedProxies = trust(t, "1")
	for _, limiter := range limiters {
		options.Limiter = limiter
	}
	s.Handler = api.New(options)
	s.wantStatus(http.StatusCreated, "POST", "/v1/users", `{"name": "Ada", "email": "ada@example.org", "password": "correct horse"}`)
	return s
}

func (s *service) wantLogin(want int, from, email, password string) http.Header {
	s.t.Helper()
	return s.wantStatus(want, "POST", "/v1/sessions", fmt.Sprintf(`{"email": %q, "password": %q}`, email, password), "X-Forwarded-For", from)
}

func TestGuessesForAnAccountAreLimited(t *testing.T) {
	s := newGuessedService(t)
	for range 3 {
		s.wantLogin(401, "192.0.2.1", "ada@example.org", "wrong horse")
	}
	refused := s.wantLogin(429, "192.0.2.1", "ADA@example.org", "correct horse")
	if got := refused.Get("Retry-After"); got != "200" { // a third of ten minutes
		t.Errorf("Retry-After is %q", got)
	}
	s.wantLogin(201, "192.0.2.2", "ada@example.org", "correct horse") // its owner, elsewhere
	s.wantLogin(401, "192.0.2.1", "bob@example.org", "wrong horse")   // another account
	for _, series := range []string{`{result="failed"} 4`, `{result="throttled"} 1`, `{result="succeeded"} 1`} {
		if got := s.scrape(); !strings.Contains(got, "app_login_attempts_total"+series+"\n") {
			t.Errorf("%s is missing", series)
		}
	}
	if log := s.log.String(); strings.Count(log, "login throttled") != 1 || strings.Contains(log, "ada@") || strings.Contains(log, "horse") {
		t.Errorf("logged:\n%s", log)
	}
}

func TestGuessesForAnUnknownAccountAreLimitedTheSameWay(t *testing.T) {
	s := newGuessedService(t)
	for _, want := range []int{401, 401, 401, 429} {
		s.wantLogin(want, "192.0.2.1", "eve@example.org", "wrong horse")
	}
}

func TestASuccessfulLoginResetsTheLimit(t *testing.T) {
	s := newGuessedService(t)
	for range 3 {
		s.wantLogin(401, "192.0.2.1", "ada@example.org", "wrong horse")
		s.wantLogin(401, "192.0.2.1", "ada@example.org", "wrong horse")
		s.wantLogin(201, "192.0.2.1", "ada@example.org", "correct horse")
	}
}

func TestGuessesFromManyAddressesAreLimitedAndDoNotLockTheOwnerOut(t *testing.T) {
	guessFromManyAddresses(t, newGuessedService(t))
}

func TestReplicasShareTheLimitOfGuesses(t *testing.T) {
	client, _ := redistest.Client(t)
	guessFromManyAddresses(t, newGuessedService(t, limit.New(client, metrics.New("test"))))
}

func guessFromManyAddresses(t *testing.T, s *service) {
	t.Helper()
	s.wantLogin(201, "198.51.100.1", "ada@example.org", "correct horse")
	throttled := 0
	for i := range 40 {
		response := s.do("POST", "/v1/sessions", `{"email": "ada@example.org", "password": "wrong horse"}`, "X-Forwarded-For", fmt.Sprint("192.0.2.", i))
		if response.Code == http.StatusTooManyRequests {
			throttled++
		}
	}
	if throttled != 11 { // 30 in total, including the owner's first login
		t.Errorf("%d of 40 were throttled", throttled)
	}
	s.wantLogin(429, "192.0.2.200", "ada@example.org", "correct horse")
	s.wantLogin(201, "198.51.100.1", "ada@example.org", "correct horse")
}

func TestGuessesAreLimitedWithoutRedis(t *testing.T) {
	client, proxy := redistest.Client(t)
	s := newGuessedService(t, limit.New(client, metrics.New("test")))
	proxy.Cut()
	for _, want := range []int{401, 401, 401, 429} {
		s.wantLogin(want, "192.0.2.1", "ada@example.org", "wrong horse")
	}
}

func TestConcurrentLoginsAreHandledSoonOrRefused(t *testing.T) {
	s := newService(t, &store.Memory{})
	options := s.options()
	options.Logger = slog.New(slog.DiscardHandler)
	s.Handler = api.New(options)
	var refused atomic.Int32
	var all sync.WaitGroup
	for range 100 * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			response := s.do("POST", "/v1/sessions", `{"email": "ada@example.org", "password": "correct horse"}`)
			switch {
			case response.Code == http.StatusServiceUnavailable && response.Header().Get("Retry-After") == "1":
				refused.Add(1)
			case response.Code != http.StatusUnauthorized:
				t.Errorf("%d %v %s", response.Code, response.Header(), response.Body)
			}
		})
	}
	all.Wait()
	got := refused.Load()
	if counted := fmt.Sprintf(`app_overloads_total{what="passwords"} %d`, got); got == 0 || !strings.Contains(s.scrape(), counted+"\n") {
		t.Errorf("%d were refused", got)
	}
}

func TestAGuessablePasswordIsRefused(t *testing.T) {
	s := newService(t, &store.Memory{})
	for password, want := range map[string]string{
		"password123":        "is one of those that are guessed first: choose another one",
		"QWERTYUIOP":         "is one of those that are guessed first: choose another one",
		"1111111111":         "is one of those that are guessed first: choose another one",
		"ada.lovelace@x.org": "must not be your name or your e-mail address",
		"Ada.Lovelace":       "must not be your name or your e-mail address",
		"countess of lace":   "must not be your name or your e-mail address",
		"1234":               "must have at least 10 characters",
		"countess of lace 1": "",
	} {
		response := s.do("POST", "/v1/users", fmt.Sprintf(`{"name": "Countess of Lace", "email": "ada.lovelace@x.org", "password": %q}`, password))
		if want == "" {
			if response.Code != http.StatusCreated {
				t.Errorf("%s: %d %s", password, response.Code, response.Body)
			}
			continue
		}
		if p := s.problem(response); len(p.Errors) != 1 || p.Errors[0].Field != "password" || p.Errors[0].Detail != want {
			t.Errorf("%s: %+v", password, p)
		}
	}
}
