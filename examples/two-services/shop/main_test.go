package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// shopOf returns a shop whose service prices is the handler.
func shopOf(t *testing.T, handler http.HandlerFunc) http.Handler {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return routes(&prices{url: server.URL, http: server.Client()})
}

func get(handler http.Handler, path string) (int, string) {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
	return answer.Code, answer.Body.String()
}

func TestArticleHasThePriceThatPricesAnswers(t *testing.T) {
	shop := shopOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/prices/bread" {
			t.Errorf("prices is asked for %s", r.URL.Path)
		}
		_, _ = w.Write([]byte(`{"cents":305}`))
	})
	if code, body := get(shop, "/articles/bread"); code != 200 || body != "bread: 3.05\n" {
		t.Errorf("GET /articles/bread answers %d %q", code, body)
	}
}

func TestUnknownArticleIsNotFound(t *testing.T) {
	shop := shopOf(t, http.NotFound)
	if code, _ := get(shop, "/articles/gold"); code != 404 {
		t.Errorf("GET /articles/gold answers %d", code)
	}
}

func TestFailureOfPricesIsABadGateway(t *testing.T) {
	shop := shopOf(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	if code, _ := get(shop, "/articles/bread"); code != 502 {
		t.Errorf("GET /articles/bread answers %d", code)
	}
}

func TestHealthDoesNotAskPrices(t *testing.T) {
	shop := shopOf(t, func(http.ResponseWriter, *http.Request) { t.Error("prices is asked") })
	if code, _ := get(shop, "/health"); code != 200 {
		t.Errorf("GET /health answers %d", code)
	}
}
