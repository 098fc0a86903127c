package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"slipway/app/internal/api"
	"slipway/app/internal/config"
	"slipway/app/internal/forwarded"
	"slipway/app/internal/httpserver"
	"slipway/app/internal/limit"
	"slipway/app/internal/metrics"
	"slipway/app/internal/store"
	"slipway/app/internal/web"
)

// behind returns the options of a server behind these proxies.
func behind(t *testing.T, proxies string) httpserver.Options {
	t.Helper()
	options := options(io.Discard, metrics.New("test"), 0)
	trusted, err := forwarded.Parse(proxies)
	if err != nil {
		t.Fatal(err)
	}
	options.TrustedProxies = trusted
	return options
}

func TestBehindACDNEachVisitorAndEachAPIClientHasItsOwnLimit(t *testing.T) {
	const cdn, ingress = "198.51.100.1", "192.0.2.1:1" // httptest's requests come from 192.0.2.1
	file := func() config.File { return config.File{RateLimit: config.RateLimit{Logins: 1}} }
	for _, proxies := range []string{"2", "127.0.0.1, 192.0.2.0/24, 198.51.100.0/24"} {
		st := &store.Memory{}
		shared := api.New(api.Options{
			Options: behind(t, proxies), Store: st, Announce: st.Recount, Limiter: limit.New(nil, metrics.New("test")),
			SigningKeys: []config.Secret{config.NewSecret("a key of this test, long enough")}, File: file,
		})
		server := httptest.NewServer(shared)
		defer server.Close()
		site := web.New(web.Options{Options: behind(t, proxies), API: server.URL, File: file})
		// The CDN appends the client's address, the ingress the CDN's. The entry before was written by the client.
		login := func(handler http.Handler, path, mediaType, body, client string) int {
			request := httptest.NewRequest("POST", path, strings.NewReader(body))
			request.RemoteAddr = ingress
			request.Header.Set("Content-Type", mediaType)
			request.Header.Set("X-Forwarded-For", "10.9.9.9, "+client+", "+cdn)
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, request)
			return response.Code
		}
		page := func(client string) int {
			return login(site, "/login", "application/x-www-form-urlencoded", "email=ada%40example.org&password=x", client)
		}
		direct := func(client string) int {
			return login(shared, "/v1/sessions", "application/json", `{"email": "ada@example.org", "password": "x"}`, client)
		}
		got := []int{page("203.0.113.1"), page("203.0.113.1"), page("203.0.113.2"), direct("203.0.113.2"), direct("203.0.113.3")}
		for i, want := range []int{403, 429, 403, 429, 401} {
			if got[i] != want {
				t.Errorf("behind %s: %v", proxies, got)
				break
			}
		}
	}
}
