package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"slipway/app/internal/attack"
	"slipway/app/internal/config"
	"slipway/app/internal/metrics"
	"slipway/app/internal/web"
)

// newRefusedSite returns the pages of an API that refuses every body, so that forms are shown again with their values.
func newRefusedSite(t *testing.T) http.Handler {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			io.WriteString(w, `{}`)
			return
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		io.WriteString(w, `{"errors": [{"field": "name", "detail": "is wrong"}, {"field": "text", "detail": "is wrong"}]}`)
	}))
	t.Cleanup(api.Close)
	options := web.Options{Options: options(io.Discard, metrics.New("test"), 0), API: api.URL, File: func() config.File { return config.File{} }}
	options.MaxBodyBytes = 16 << 10
	return web.New(options)
}

// send submits a form.
func send(site http.Handler, target, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest("POST", target, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.AddCookie(&http.Cookie{Name: "__Host-access", Value: "x"})
	response := httptest.NewRecorder()
	site.ServeHTTP(response, request)
	return response
}

func TestNoFormTakesMuchTimeOrGetsALargeResponse(t *testing.T) {
	site := newRefusedSite(t)
	for path, valid := range map[string]map[string]any{
		"/signup":          {"name": "Ada", "email": "ada@example.org", "password": "correct horse"},
		"/login":           {"email": "ada@example.org", "password": "correct horse", "back": "/leaders"},
		"/shops":           {"name": "Bakery", "city": "Köln", "description": "bread\r\nrolls"},
		"/shops/1/reviews": {"stars": 5, "text": "great"},
		"/logout":          {},
	} {
		t.Run(path, func(t *testing.T) {
			for i, body := range attack.Bodies(1000, 2, valid) {
				body = attack.Form(body)
				attack.WithinCPU(t, 0, func() {
					response := send(site, path, body)
					if response.Body.Len() > attack.MaxResponse || response.Code >= 500 {
						t.Errorf("body %d: %d and %d bytes", i, response.Code, response.Body.Len())
					}
				})
			}
		})
	}
}

func TestAFormWithTooManyFieldsOrBytesIsRefused(t *testing.T) {
	site := newRefusedSite(t)
	back := send(site, "/login", "back=/"+strings.Repeat(`"`, 16_000))
	if back.Code != http.StatusUnprocessableEntity || back.Body.Len() > attack.MaxResponse {
		t.Errorf("a long path to return to: %d and %d bytes", back.Code, back.Body.Len())
	}
	for body, want := range map[string]int{
		strings.Repeat("a&", 21):                        http.StatusBadRequest,
		"name=" + strings.Repeat("<", 201):              http.StatusRequestEntityTooLarge,
		"name=" + strings.Repeat("<", 17_000):           http.StatusRequestEntityTooLarge,
		"name=" + strings.Repeat("%F0%9D%84%9E", 101):   http.StatusUnprocessableEntity,
		"text=" + strings.Repeat("%F0%9D%84%9E", 1_000): http.StatusUnprocessableEntity,
	} {
		if got := send(site, "/shops", body); got.Code != want {
			t.Errorf("%d bytes: %d, want %d", len(body), got.Code, want)
		}
	}
}
