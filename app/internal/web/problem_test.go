package web_test

import (
	"net/url"
	"strings"
	"testing"
)

func TestErrorsAreShownAsPages(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	for path, want := range map[string]int{"/nowhere": 404, "/shops/none": 404, "/shops/0192f0c4-7b1e-7abc-8def-012345678901": 404, "/shops/..%2F..%2Fversion": 404, "/logout": 405, "/shops": 405, "/?cursor=old": 400} {
		on := b.get(path)
		on.want(want, "Request "+on.header.Get("X-Request-Id"))
	}
	if got := b.get("/logout").header.Get("Allow"); got != "POST" {
		t.Errorf("allowed: %s", got)
	}
	b.post("/signup", url.Values{"name": {strings.Repeat("x", 11_000)}}).want(413, "That is too much")
	b.do(b.request("POST", "/signup?%", nil)).want(400)
}
