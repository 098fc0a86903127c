package api_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"slipway/app/internal/store"
)

// keyed returns the headers of a user with an idempotency key.
func (s *service) keyed(user byte, key string) []string {
	return append(s.as(user), "Idempotency-Key", key)
}

func TestARepeatedRequestWithAnIdempotencyKeyGetsTheSameResponseAndAddsNothing(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("reviewed")
	for target, request := range map[string]struct {
		body    string
		headers []string
	}{
		"/v1/users":       {adasSignUp, []string{"Idempotency-Key", `"8e03978e-40d5-43dd-bc93-6894a57f9324"`}},
		"/v1/shops":       {`{"name": "x"}`, s.keyed(1, "k")},
		shop + "/reviews": {`{"stars": 5}`, s.keyed(1, "k")},
	} {
		first := s.do("POST", target, request.body, request.headers...)
		again := s.do("POST", target, request.body, request.headers...)
		if first.Code != http.StatusCreated || again.Code != first.Code || again.Body.String() != first.Body.String() || again.Header().Get("Location") != first.Header().Get("Location") {
			t.Errorf("%s: %d %s, then %d %s", target, first.Code, first.Body, again.Code, again.Body)
		}
		d := s.document()
		d.check("POST", strings.Replace(target, strings.TrimPrefix(shop, "/v1/shops/"), "{id}", 1), again)
	}
	if shops := s.list("/v1/shops").Items; len(shops) != 2 {
		t.Errorf("there are %d shops", len(shops))
	}
	s.wantRating(shop, `{"average":5,"reviews":1,"likes":0}`)
}

func TestAnIdempotencyKeyIsForOneRequestOfOneUser(t *testing.T) {
	s := newService(t, &store.Memory{})
	first, second := s.add("first"), s.add("second")
	for _, step := range []struct {
		name, target, body string
		user               byte
		want               int
	}{
		{"the first request", "/v1/shops", `{"name": "x"}`, 1, http.StatusCreated},
		{"another body", "/v1/shops", `{"name": "y"}`, 1, http.StatusUnprocessableEntity},
		{"another user", "/v1/shops", `{"name": "y"}`, 2, http.StatusCreated},
		{"another route", first + "/reviews", `{"stars": 5}`, 1, http.StatusCreated},
		{"another shop", second + "/reviews", `{"stars": 5}`, 1, http.StatusUnprocessableEntity},
		{"an invalid body does not use the key up", "/v1/shops", `{"nam": "y"}`, 3, http.StatusUnprocessableEntity},
		{"a corrected body", "/v1/shops", `{"name": "y"}`, 3, http.StatusCreated},
	} {
		if response := s.do("POST", step.target, step.body, s.keyed(step.user, "k")...); response.Code != step.want {
			t.Errorf("%s: %d %s", step.name, response.Code, response.Body)
		}
	}
}

func TestConcurrentRequestsWithOneIdempotencyKeyAddOnce(t *testing.T) {
	s := newService(t, &store.Memory{})
	bodies := map[string]int{}
	var mu sync.Mutex
	var clients sync.WaitGroup
	for range 20 {
		headers := s.keyed(1, "k")
		clients.Go(func() {
			response := s.do("POST", "/v1/shops", `{"name": "x"}`, headers...)
			mu.Lock()
			defer mu.Unlock()
			bodies[response.Body.String()]++
		})
	}
	clients.Wait()
	if shops := s.list("/v1/shops").Items; len(shops) != 1 || len(bodies) != 1 {
		t.Errorf("there are %d shops, and these responses: %v", len(shops), bodies)
	}
}

func TestAnInvalidIdempotencyKeyIsRefused(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, key := range []string{"", `""`, "two words", "größe", `a"b`, strings.Repeat("x", 129)} {
		if response := s.do("POST", "/v1/shops", `{"name": "x"}`, s.keyed(1, key)...); response.Code != http.StatusBadRequest {
			t.Errorf("%q: %d", key, response.Code)
		}
	}
}

// keyInUseStore is a store in which the first request with a key is always still running.
type keyInUseStore struct{ store.Memory }

func (*keyInUseStore) AddShop(context.Context, store.ID, store.ShopDraft) (store.Shop, error) {
	return store.Shop{}, store.ErrKeyInUse
}

func TestARepeatedRequestDuringTheFirstOneIsA409WithRetryAfter(t *testing.T) {
	s := newService(t, &keyInUseStore{})
	response := s.do("POST", "/v1/shops", `{"name": "x"}`, s.keyed(1, "k")...)
	if s.problem(response); response.Code != http.StatusConflict || response.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", response.Code, response.Header())
	}
}
