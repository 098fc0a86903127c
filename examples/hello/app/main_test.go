package main

import (
	"net/http/httptest"
	"testing"
)

func TestRoutes(t *testing.T) {
	handler := routes("Good morning")
	for path, want := range map[string]string{"/health": "ok\n", "/hello/Ada": "Good morning, Ada!\n"} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != 200 || answer.Body.String() != want {
			t.Errorf("GET %s answers %d %q, want 200 %q", path, answer.Code, answer.Body, want)
		}
	}
}

func TestSetting(t *testing.T) {
	t.Setenv("GREETING", "Good morning")
	if got := setting("GREETING", "Hello"); got != "Good morning" {
		t.Errorf("setting = %q, want the variable", got)
	}
	if got := setting("SLIPWAY_UNSET", "Hello"); got != "Hello" {
		t.Errorf("setting = %q, want the default", got)
	}
}
