package web_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
)

func TestEveryPageIsAccessibleAndItsLinksWork(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	b.signIn("ada")
	shop := b.addShop("Tea")
	b.addShop("Shoes")
	b.addShop("Books")
	b.submit(b.get(shop), shop+"/reviews", "stars", "5", "text", "Good")
	member := []htmlPage{b.get("/"), b.get("/leaders"), b.get(shop), b.get("/shops/new"), b.get(shop + "/edit"), b.get(b.get(shop).ownReview()),
		b.get("/account"), b.post("/account/password", nil), b.submit(b.get("/shops/new"), "/shops", "city", "x"), b.get("/nowhere")}
	stranger := s.browser()
	guest := []htmlPage{stranger.get("/"), stranger.get("/?search=tea"), stranger.get(shop), stranger.get("/login"), stranger.get("/signup"),
		stranger.submit(stranger.get("/signup"), "/signup", "password", "x"), stranger.get("/?cursor=old"), stranger.get("/shops/none")}
	for _, visit := range []struct {
		by    *browser
		pages []htmlPage
	}{{b, member}, {stranger, guest}} {
		for _, on := range visit.pages {
			t.Run(on.path, func(t *testing.T) {
				on.t = t
				on.checkStructure()
				on.checkLabels()
				on.checkLinks(visit.by)
			})
		}
	}
}

func (p htmlPage) checkStructure() {
	p.t.Helper()
	for _, tag := range []string{"h1", "main", "title", "header", "footer"} {
		if elements := p.all(tag); len(elements) != 1 || tag != "header" && text(elements[0]) == "" {
			p.t.Errorf("%d %s", len(elements), tag)
		}
	}
	if attribute(p.all("html")[0], "lang") != "en" {
		p.t.Error("no language")
	}
	ids := map[string]bool{}
	for node := range p.root.Descendants() {
		if id := attribute(node, "id"); id != "" && ids[id] {
			p.t.Errorf("%s is the ID of two elements", id)
		} else {
			ids[id] = true
		}
		if attribute(node, "style") != "" {
			p.t.Errorf("%s has an inline style, which the Content-Security-Policy forbids", node.Data)
		}
	}
	for node := range p.root.Descendants() {
		for _, reference := range []string{"aria-describedby", "aria-labelledby", "for"} {
			for id := range strings.FieldsSeq(attribute(node, reference)) {
				if !ids[id] {
					p.t.Errorf("%s refers to %s, which does not exist", reference, id)
				}
			}
		}
	}
}

func (p htmlPage) checkLabels() {
	p.t.Helper()
	labelled := map[string]bool{}
	for _, label := range p.all("label") {
		labelled[attribute(label, "for")] = text(label) != ""
	}
	for _, control := range append(p.all("input"), p.all("textarea")...) {
		if attribute(control, "type") != "hidden" && !labelled[attribute(control, "id")] {
			p.t.Errorf("%s has no label", attribute(control, "name"))
		}
	}
	for _, button := range append(p.all("button"), p.all("a")...) {
		if text(button) == "" {
			p.t.Errorf("a %s without text", button.Data)
		}
	}
}

func (p htmlPage) checkLinks(b *browser) {
	p.t.Helper()
	for _, link := range append(p.all("a"), p.all("link")...) {
		href := attribute(link, "href")
		if fragment, ok := strings.CutPrefix(href, "#"); ok {
			p.byID(fragment)
		} else if response := b.get(href); response.status >= 400 {
			p.t.Errorf("%s responds %d", href, response.status)
		}
	}
}

var colour = regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)`)

func TestTextHasEnoughContrastInLightAndDarkMode(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	sheet := b.get(attribute(b.get("/").all("link")[0], "href")).source
	colours := map[string][]string{}
	for _, match := range colour.FindAllStringSubmatch(sheet, -1) {
		colours[match[1]] = match[2:]
	}
	for _, pair := range []string{
		"ink paper", "ink card", "ink soft", "quiet paper", "quiet card", "accent paper", "accent card", "on-accent accent",
		"gold card", "gold paper", "red paper", "red card", "red soft-red",
	} {
		text, background, _ := strings.Cut(pair, " ")
		for scheme, name := range []string{"in light mode", "in dark mode"} {
			if got := contrast(t, colours[text][scheme], colours[background][scheme]); got < 4.5 { // WCAG 2.2, 1.4.3
				t.Errorf("%s on %s %s: %.1f", text, background, name, got)
			}
		}
	}
}

// contrast returns the contrast ratio that WCAG 2.2 defines.
func contrast(t *testing.T, one, other string) float64 {
	t.Helper()
	light, dark := luminance(t, one), luminance(t, other)
	return (max(light, dark) + 0.05) / (min(light, dark) + 0.05)
}

// luminance returns the relative luminance that WCAG 2.2 defines.
func luminance(t *testing.T, colour string) (sum float64) {
	t.Helper()
	digits := strings.TrimPrefix(colour, "#")
	if len(digits) == 3 {
		digits = fmt.Sprintf("%[1]c%[1]c%[2]c%[2]c%[3]c%[3]c", digits[0], digits[1], digits[2])
	}
	channels, err := hex.DecodeString(digits)
	if err != nil || len(channels) != 3 {
		t.Fatalf("%q is not a colour", colour)
	}
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		value := float64(channels[i]) / 255
		if value <= 0.04045 {
			sum += weight * value / 12.92
		} else {
			sum += weight * math.Pow((value+0.055)/1.055, 2.4)
		}
	}
	return sum
}
