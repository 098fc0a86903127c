package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"slipway/app/internal/api"
	"slipway/app/internal/attack"
	"slipway/app/internal/auth"
	"slipway/app/internal/store"
)

// validBodies holds a valid body for each route that reads one.
var validBodies = map[string]map[string]any{
	"POST /v1/users":             {"name": "Ada", "email": "ada@example.org", "password": "correct horse"},
	"POST /v1/sessions":          {"email": "ada@example.org", "password": "correct horse"},
	"POST /v1/sessions/refresh":  {"refreshToken": strings.Repeat("A", 64)},
	"POST /v1/shops":             {"name": "Bakery", "city": "Köln", "description": "bread\nrolls"},
	"PUT /v1/shops/ID":           {"name": "Bakery", "city": "Köln", "description": "bread\nrolls"},
	"POST /v1/shops/ID/reviews":  {"stars": 5, "text": "great"},
	"PUT /v1/reviews/MINE":       {"stars": 4, "text": "good"},
	"PUT /v1/users/me/password":  {"currentPassword": "wrong horse", "newPassword": "another horse battery"},
	"POST /v1/users/me/deletion": {"password": "wrong horse"},
}

func TestNoBodyTakesMuchTimeOrGetsALargeResponse(t *testing.T) {
	const count = 1000
	s := newService(t, &store.Memory{})
	options := s.options()
	options.MaxBodyBytes = 16 << 10
	s.Handler = api.New(options)
	// A hash is slow on purpose, and very slow under the race detector.
	hash := attack.CPU(func() { auth.NewPasswords(func() {}).Hash(t.Context(), "x") })
	shop := strings.TrimPrefix(s.add("Bakery"), "/v1/shops/")
	var review struct{ ID string }
	if err := json.Unmarshal(s.do("POST", "/v1/shops/"+shop+"/reviews", `{"stars": 5}`, s.as(1)...).Body.Bytes(), &review); err != nil {
		t.Fatal(err)
	}
	paths := strings.NewReplacer("ID", shop, "MINE", review.ID)
	for route, fields := range validBodies {
		t.Run(route, func(t *testing.T) {
			method, target, _ := strings.Cut(paths.Replace(route), " ")
			for i, body := range attack.Bodies(count, 1, fields) {
				attack.WithinCPU(t, hash, func() {
					response := s.do(method, target, body, s.as(1)...)
					if response.Body.Len() > attack.MaxResponse || response.Code == http.StatusInternalServerError {
						t.Errorf("body %d: %d and %d bytes", i, response.Code, response.Body.Len())
					}
				})
			}
		})
	}
}

func TestNoHeadGetsALargeAnswer(t *testing.T) {
	s := newService(t, &store.Memory{})
	for name, target := range map[string]string{
		"path":       "/v1/shops/" + strings.Repeat("%01", 1300),
		"long path":  "/" + strings.Repeat("%01", 20_000),
		"long query": "/v1/shops?query=" + strings.Repeat("%01", 20_000),
		"parameters": "/v1/shops?" + strings.Repeat("a&", 20_000),
	} {
		response := s.do("GET", target, "")
		if s.problem(response); response.Body.Len() > attack.MaxResponse {
			t.Errorf("%s: %d bytes", name, response.Body.Len())
		}
		if name != "path" && response.Code != http.StatusRequestURITooLong {
			t.Errorf("%s: %d", name, response.Code)
		}
	}
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprint("X-", i), "")
	}
	response := s.do("GET", "/version", "", many...)
	if p := s.problem(response); response.Code != http.StatusRequestHeaderFieldsTooLarge || p.Type != "/v1/problems/headers-too-many" {
		t.Errorf("headers: %d %+v", response.Code, p)
	}
	if response := s.do(strings.Repeat("X", 20_000), "/version", ""); response.Body.Len() > 1000 {
		t.Errorf("method: %d bytes", response.Body.Len())
	}
	for line := range strings.Lines(s.log.String()) {
		if len(line) > 2000 {
			t.Errorf("%d bytes are logged for one request", len(line))
		}
	}
}

func TestTheNumberOfReportedErrorsIsLimitedAndKnownFieldsComeFirst(t *testing.T) {
	s := newService(t, &store.Memory{})
	body := `{"password": 1, "` + strings.Repeat("x", 300) + `": 1`
	for i := range 40 {
		body += fmt.Sprintf(`, "a%d": 1`, i)
	}
	response := s.do("POST", "/v1/users", body+"}")
	p := s.problem(response)
	if response.Code != http.StatusUnprocessableEntity || len(p.Errors) != 20 || !strings.HasSuffix(p.Detail, "only 20 of 44 errors are named") {
		t.Errorf("%d %+v", response.Code, p)
	}
	for _, known := range []string{"password", "name", "email"} {
		if !slices.Contains(p.fields(), known) {
			t.Errorf("%s is not reported, only %v", known, p.fields())
		}
	}
}

func TestABodyWithTooManyValuesIsRefusedBeforeItIsDecoded(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, body := range []string{attack.TinyFields(900), strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9)} {
		response := s.do("POST", "/v1/sessions", body)
		if p := s.problem(response); response.Code != http.StatusBadRequest || p.Detail != "the body has more than 64 values, or more than 8 levels" {
			t.Errorf("%d %+v", response.Code, p)
		}
	}
	s.wantStatus(http.StatusUnprocessableEntity, "POST", "/v1/shops", `{"name": "`+strings.Repeat(`,{[\"`, 100)+`"}`, s.as(1)...)
}
