package main

import (
	"net/http/httptest"
	"testing"
)

func TestRoutes(t *testing.T) {
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/health":       {200, ""},
		"/prices/bread": {200, `{"cents":320}` + "\n"},
		"/prices/gold":  {404, "no such article\n"},
	} {
		answer := httptest.NewRecorder()
		routes().ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != want.code || answer.Body.String() != want.body {
			t.Errorf("GET %s answers %d %q, want %d %q", path, answer.Code, answer.Body, want.code, want.body)
		}
	}
}
