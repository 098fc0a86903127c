package web_test

import (
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

const canary = `<script>alert("x")</script><img src=x onerror=y>`

func TestMarkupOfVisitorsIsShownAsText(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	b.submit(b.get("/signup"), "/signup", "name", canary, "email", "ada@example.org", "password", password)
	b.submit(b.get("/login"), "/login", "email", "ada@example.org", "password", password)
	shop := b.submit(b.get("/shops/new"), "/shops", "name", canary, "city", canary, "description", canary)
	b.submit(shop, shop.path+"/reviews", "stars", "5", "text", canary)
	for _, path := range []string{shop.path, "/", "/leaders", "/?search=" + url.QueryEscape(canary), "/" + url.PathEscape(canary)} {
		on := b.get(path)
		if len(on.all("script"))+len(on.all("img")) > 0 {
			t.Errorf("%s has elements of a visitor:\n%s", path, on.source)
		}
	}
	b.get(shop.path).want(200, canary)
}

// rightToLeft is a text in a script that is written from right to left.
const rightToLeft = "שלום"

func TestTheTextDirectionOfVisitorsIsIsolated(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	b.submit(b.get("/signup"), "/signup", "name", rightToLeft, "email", "ada@example.org", "password", password)
	b.submit(b.get("/login"), "/login", "email", "ada@example.org", "password", password)
	shop := b.submit(b.get("/shops/new"), "/shops", "name", rightToLeft, "city", rightToLeft, "description", rightToLeft)
	b.submit(shop, shop.path+"/reviews", "stars", "5", "text", rightToLeft)
	refused := b.submit(b.get("/shops/new"), "/shops", "name", rightToLeft, "description", rightToLeft+"\u202e")
	for _, on := range []htmlPage{b.get(shop.path), b.get(shop.path + "/edit"), b.get(b.get(shop.path).ownReview()), b.get("/account"), b.get("/"), b.get("/leaders"), b.get("/?search=" + url.QueryEscape(rightToLeft)), refused} {
		on.t = t
		on.checkDirections()
	}
}

// checkDirections checks that each text of a visitor is in an element that isolates its direction.
func (p htmlPage) checkDirections() {
	p.t.Helper()
	texts := 0
	for node := range p.root.Descendants() {
		if strings.Contains(attribute(node, "value"), rightToLeft) {
			texts++
			if attribute(node, "dir") != "auto" {
				p.t.Errorf("the value of %s on %s has no direction of its own", attribute(node, "name"), p.path)
			}
		}
		parent := node.Parent
		if node.Type != html.TextNode || !strings.Contains(node.Data, rightToLeft) || parent.Data == "title" {
			continue
		}
		texts++
		if parent.Data != "bdi" && attribute(parent, "dir") != "auto" {
			p.t.Errorf("%q in %s on %s has no direction of its own", node.Data, parent.Data, p.path)
		}
	}
	if texts == 0 {
		p.t.Errorf("%s has no text of a visitor:\n%s", p.path, p.source)
	}
}
