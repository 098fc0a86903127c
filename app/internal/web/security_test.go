package web_test

import (
	"net/url"
	"strings"
	"testing"
)

func TestFormsFromOtherSitesAreRefused(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	review := url.Values{"stars": {"1"}}
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}} {
		b.post(shop+"/reviews", review, headers...).want(403, "That is not allowed")
		b.post("/logout", nil, headers...).want(403)
	}
	b.get(shop).want(200, "No review yet", "Log out")
}

func TestEveryResponseHasTheSecurityHeaders(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	for _, path := range []string{"/", shop, "/leaders", "/login", "/signup", "/shops/new", "/nowhere", "/static/nothing"} {
		header := b.get(path).header
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "same-origin",
			"Cache-Control":           "no-store",
			"Content-Type":            "text/html; charset=utf-8",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s of %s is %q", name, path, got)
			}
		}
	}
	if got := s.browser().get("/").header; got.Get("Cache-Control") != "private, no-cache" || got.Get("Vary") != "Cookie" {
		t.Errorf("a page without login has %v", got)
	}
}

func TestTheLogContainsNoPasswordTokenAddressOrSearch(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	secrets := []string{password, "ada@example.org", "canary", b.cookie("__Host-access"), b.cookie("__Host-refresh")}
	b.setCookie("__Host-access", "canary")
	b.submit(b.get(shop), shop+"/reviews", "stars", "4", "text", "canary")
	secrets = append(secrets, b.cookie("__Host-access"), b.cookie("__Host-refresh"))
	b.get("/?search=canary&cursor=canary")
	s.api.Close()
	b.get("/?search=canary")
	b.post("/login", url.Values{"email": {"ada@example.org"}, "password": {password}})
	b.post("/logout", nil)
	for _, secret := range secrets {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("%s is in the log:\n%s", secret, &s.log)
		}
	}
	if !strings.Contains(s.log.String(), `"route":"/shops/{id}/reviews"`) || !strings.Contains(s.log.String(), "the API is unavailable") {
		t.Errorf("logged:\n%s", &s.log)
	}
}
