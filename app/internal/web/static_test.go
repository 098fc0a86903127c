package web_test

import (
	"strings"
	"testing"
)

func TestAPageWeighsLessThan20kB(t *testing.T) {
	s := newTestSite(t)
	s.file.PageSize.Default = 20
	b := s.browser()
	b.signIn("ada")
	for range 20 {
		b.addShop(strings.Repeat("a name ", 5))
	}
	on := b.get("/")
	weight := len(on.source)
	for _, link := range on.all("link") {
		weight += len(b.get(attribute(link, "href")).source)
	}
	if weight > 20_000 {
		t.Errorf("%d bytes", weight)
	}
}

func TestOnlyTheCurrentStylesheetIsCachedForever(t *testing.T) {
	b := newTestSite(t).browser()
	var path string
	for _, link := range b.get("/").all("link") {
		if attribute(link, "rel") == "stylesheet" {
			path = attribute(link, "href")
		}
	}
	current := b.get(path)
	if got := current.header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" || current.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("%s: %v", path, current.header)
	}
	other := b.get("/static/style-0123456789ab.css")
	if other.want(200); other.header.Get("Cache-Control") != "no-store" || other.source != current.source {
		t.Errorf("the stylesheet of another version: %v", other.header)
	}
	b.get("/static/style.css").want(404)
	b.get("/static/other-0123456789ab.css").want(404)
}
