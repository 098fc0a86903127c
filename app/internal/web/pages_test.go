package web_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestAVisitorSignsUpReviewsLikesAndLogsOut(t *testing.T) {
	s := newSurroundings(t)
	b := s.browser()
	login := b.submit(b.get("/signup"), "/signup", "name", "Ada", "email", "ada@example.org", "password", password)
	login.want(200, "Your account is there")
	home := b.submit(login, "/login", "email", "ada@example.org", "password", password)
	home.want(200, "There is no shop yet", "Log out")
	shop := b.submit(b.get("/shops/new"), "/shops", "name", "Tea & Cake", "city", "Köln", "description", "two\nlines")
	shop.want(200, "Tea & Cake", "Köln", "No review yet", "Nobody has reviewed this shop yet")
	b.get("/leaders").want(200, "Nobody has reviewed a shop yet")
	reviewed := b.submit(shop, shop.path+"/reviews", "stars", "4", "text", "Good\r\ncake")
	reviewed.want(200, "4 of 5 stars 1 review", "Good cake", "Ada", "0 likes")
	like := reviewed.action("/like")
	liked := b.submit(reviewed, like)
	liked.want(200, "1 review · 1 like")
	if strings.Contains(liked.source, `action="`+like+`"`) {
		t.Error("a review that the visitor likes can be liked again")
	}
	b.post(like, nil).want(200, "1 review · 1 like")
	b.submit(liked, strings.Replace(like, "/like", "/unlike", 1)).want(200, "4 of 5 stars 1 review", "0 likes")
	b.get("/leaders").want(200, "Tea & Cake", "4 of 5 stars")
	b.submit(home, "/logout").want(200, "Log in")
	if b.hasCookie("__Host-access") || b.hasCookie("__Host-refresh") {
		t.Error("the browser still has tokens")
	}
	b.get("/shops/new").want(200, "Log in", "E-mail address")
}

// action is that of the first form that ends so.
func (s seen) action(end string) string {
	s.t.Helper()
	for _, form := range s.all("form") {
		if action := attribute(form, "action"); strings.HasSuffix(action, end) {
			return action
		}
	}
	s.t.Fatalf("no form leads to …%s:\n%s", end, s.source)
	return ""
}

func TestSearchAndPagesHaveEachShopOnce(t *testing.T) {
	s := newSurroundings(t)
	b := s.browser()
	b.signIn("ada")
	for number := range 5 {
		b.addShop(fmt.Sprint("Bakery ", number))
		b.addShop(fmt.Sprint("Shoes ", number))
	}
	var names []string
	on := b.get("/?search=BAKERY")
	on.want(200, "Shops with “BAKERY”")
	for on.status == http.StatusOK {
		for _, card := range within(on.byID("found"), "h2") {
			names = append(names, text(card))
		}
		next := on.link("next")
		if next == "" {
			break
		}
		on = b.get(next)
	}
	if want := []string{"Bakery 4", "Bakery 3", "Bakery 2", "Bakery 1", "Bakery 0"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if names := within(b.get(on.link("prev")).byID("found"), "h2"); len(names) != 2 || text(names[0]) != "Bakery 2" {
		t.Errorf("the page before is %s", on.link("prev"))
	}
	if first := on.withText("First page"); attribute(first, "href") != "/?search=BAKERY" {
		t.Errorf("the first page is %s", attribute(first, "href"))
	}
	b.get("/?search=nothing+like+that").want(200, "No shop has this text")
}

func (s seen) withText(words string) *html.Node {
	s.t.Helper()
	for _, link := range s.all("a") {
		if text(link) == words {
			return link
		}
	}
	s.t.Fatalf("no link %q on %s", words, s.path)
	return nil
}

// link is where the link with this relation leads, or "".
func (s seen) link(relation string) string {
	for _, link := range s.all("a") {
		if attribute(link, "rel") == relation {
			return attribute(link, "href")
		}
	}
	return ""
}

func TestReviewsHavePagesAndALikeStaysOnItsPage(t *testing.T) {
	s := newSurroundings(t)
	b := s.browser()
	b.signIn("user0")
	shop := b.addShop("Tea")
	for number := range 3 {
		if number > 0 {
			b.submit(b.get("/"), "/logout")
			b.signIn(fmt.Sprint("user", number))
		}
		b.submit(b.get(shop), shop+"/reviews", "stars", fmt.Sprint(5-number%2), "text", fmt.Sprint("text ", number))
	}
	first := b.get(shop)
	first.want(200, "text 2", "text 1", "★★★★★ 4.67 of 5 stars")
	if !strings.Contains(first.source, `>★★★★<span class="half">★</span>`) {
		t.Errorf("4.67 is not drawn as four and a half:\n%s", first.source)
	}
	second := b.get(first.link("next"))
	second.want(200, "text 0", "First page")
	liked := b.post(second.likes(), nil)
	liked.want(200, "text 0", "1 like")
	if path, _, _ := strings.Cut(liked.path, "#"); path != second.path {
		t.Errorf("on %s after liking on %s", liked.path, second.path)
	}
}

// ownReview is where the visitor edits their review.
func (s seen) ownReview() string {
	s.t.Helper()
	for _, link := range s.all("a") {
		if href := attribute(link, "href"); strings.Contains(href, "/reviews/") {
			return href
		}
	}
	s.t.Fatalf("no review can be edited:\n%s", s.source)
	return ""
}

func (s seen) likes() string {
	for _, form := range s.all("form") {
		if action := attribute(form, "action"); strings.Contains(action, "/like") {
			return action
		}
	}
	return ""
}

func TestWhatIsWrongStandsBesideTheFieldAndNothingIsLostButPasswords(t *testing.T) {
	b := newSurroundings(t).browser()
	refused := b.submit(b.get("/signup"), "/signup", "name", "Ada", "email", "nobody", "password", "tooshort!")
	refused.want(422)
	if got := refused.wrong("email"); got != "E-mail address must be an e-mail address." {
		t.Errorf("said about email: %s", got)
	}
	if got := refused.wrong("password"); got != "Password must have at least 10 characters." {
		t.Errorf("said about password: %s", got)
	}
	if got := attribute(refused.byID("name"), "value") + " " + attribute(refused.byID("email"), "value"); got != "Ada nobody" {
		t.Errorf("kept: %s", got)
	}
	if strings.Contains(refused.source, "tooshort!") {
		t.Error("the password is sent back")
	}
	if title := text(refused.all("title")[0]); !strings.HasPrefix(title, "Error: ") {
		t.Errorf("the title is %q", title)
	}

	b.signIn("ada")
	b.submit(b.get("/"), "/logout")
	taken := b.submit(b.get("/signup"), "/signup", "name", "Ada", "email", "ada@example.org", "password", password)
	if taken.want(409); taken.wrong("email") != "E-mail address is taken." {
		t.Errorf("said: %s", taken.wrong("email"))
	}
	wrong := b.submit(b.get("/login"), "/login", "email", "ada@example.org", "password", "wrong horse")
	wrong.want(403, "The e-mail address or the password is wrong.")
	if attribute(wrong.byID("email"), "value") != "ada@example.org" || strings.Contains(wrong.source, "wrong horse") {
		t.Errorf("kept:\n%s", wrong.source)
	}

	b.signIn("eve")
	nameless := b.submit(b.get("/shops/new"), "/shops", "name", " ", "city", "Köln", "description", "kept")
	if nameless.want(422, "kept"); nameless.wrong("name") != "Name must not be empty." || attribute(nameless.byID("city"), "value") != "Köln" {
		t.Errorf("got\n%s", nameless.source)
	}
	shop := b.addShop("Tea")
	starless := b.submit(b.get(shop), shop+"/reviews", "text", "kept too")
	starless.want(422, "Tea", "Stars must be a whole number from 1 to 5.", "kept too")
	b.submit(b.get(shop), shop+"/reviews", "stars", "3")
	b.post(shop+"/reviews", url.Values{"stars": {"3"}}).want(409, "You have reviewed this shop already.")
}

func TestALoginLeadsBackToWhereItWasAskedForAndNowhereElse(t *testing.T) {
	s := newSurroundings(t)
	b := s.browser()
	b.signIn("ada")
	shop := b.addShop("Tea")
	for back, want := range map[string]string{
		shop:                   shop,
		"//evil.example":       "/",
		`/\evil.example`:       "/",
		"https://evil.example": "/",
		"/\t/evil.example":     "/",
		"":                     "/",
	} {
		b.submit(b.get("/"), "/logout")
		login := b.get("/login?back=" + url.QueryEscape(back))
		if got := b.submit(login, "/login", "email", "ada@example.org", "password", password).path; got != want {
			t.Errorf("%q led to %s", back, got)
		}
	}
	b.submit(b.get("/"), "/logout")
	asked := b.get("/shops/new")
	if got := b.submit(asked, "/login", "email", "ada@example.org", "password", password).path; got != "/shops/new" {
		t.Errorf("led to %s", got)
	}
}

const canary = `<script>alert("x")</script><img src=x onerror=y>`

func TestWhatPeopleWriteStaysText(t *testing.T) {
	s := newSurroundings(t)
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

// backwards is a text of a script that is read from right to left.
const backwards = "שלום"

func TestTheDirectionOfWhatPeopleWriteEndsWithIt(t *testing.T) {
	s := newSurroundings(t)
	b := s.browser()
	b.submit(b.get("/signup"), "/signup", "name", backwards, "email", "ada@example.org", "password", password)
	b.submit(b.get("/login"), "/login", "email", "ada@example.org", "password", password)
	shop := b.submit(b.get("/shops/new"), "/shops", "name", backwards, "city", backwards, "description", backwards)
	b.submit(shop, shop.path+"/reviews", "stars", "5", "text", backwards)
	refused := b.submit(b.get("/shops/new"), "/shops", "name", backwards, "description", backwards+"\u202e")
	for _, on := range []seen{b.get(shop.path), b.get(shop.path + "/edit"), b.get(b.get(shop.path).ownReview()), b.get("/account"), b.get("/"), b.get("/leaders"), b.get("/?search=" + url.QueryEscape(backwards)), refused} {
		on.t = t
		on.checkDirections()
	}
}

// checkDirections fails unless each text of a visitor is in an element of its own that isolates its direction.
func (s seen) checkDirections() {
	s.t.Helper()
	texts := 0
	for node := range s.root.Descendants() {
		if strings.Contains(attribute(node, "value"), backwards) {
			texts++
			if attribute(node, "dir") != "auto" {
				s.t.Errorf("the value of %s on %s has no direction of its own", attribute(node, "name"), s.path)
			}
		}
		parent := node.Parent
		if node.Type != html.TextNode || !strings.Contains(node.Data, backwards) || parent.Data == "title" {
			continue
		}
		texts++
		if parent.Data != "bdi" && attribute(parent, "dir") != "auto" {
			s.t.Errorf("%q in %s on %s has no direction of its own", node.Data, parent.Data, s.path)
		}
	}
	if texts == 0 {
		s.t.Errorf("%s has no text of a visitor:\n%s", s.path, s.source)
	}
}

func TestEveryPageIsValidEnough(t *testing.T) {
	s := newSurroundings(t)
	b := s.browser()
	b.signIn("ada")
	shop := b.addShop("Tea")
	b.addShop("Shoes")
	b.addShop("Books")
	b.submit(b.get(shop), shop+"/reviews", "stars", "5", "text", "Good")
	member := []seen{b.get("/"), b.get("/leaders"), b.get(shop), b.get("/shops/new"), b.get(shop + "/edit"), b.get(b.get(shop).ownReview()),
		b.get("/account"), b.post("/account/password", nil), b.submit(b.get("/shops/new"), "/shops", "city", "x"), b.get("/nowhere")}
	nobody := s.browser()
	guest := []seen{nobody.get("/"), nobody.get("/?search=tea"), nobody.get(shop), nobody.get("/login"), nobody.get("/signup"),
		nobody.submit(nobody.get("/signup"), "/signup", "password", "x"), nobody.get("/?cursor=old"), nobody.get("/shops/none")}
	for _, each := range []struct {
		by    *browser
		pages []seen
	}{{b, member}, {nobody, guest}} {
		for _, on := range each.pages {
			t.Run(on.path, func(t *testing.T) {
				on.t = t
				on.checkStructure()
				on.checkLabels()
				on.checkLinks(each.by)
			})
		}
	}
}

func (s seen) checkStructure() {
	s.t.Helper()
	for _, tag := range []string{"h1", "main", "title", "header", "footer"} {
		if found := s.all(tag); len(found) != 1 || tag != "header" && text(found[0]) == "" {
			s.t.Errorf("%d %s", len(found), tag)
		}
	}
	if attribute(s.all("html")[0], "lang") != "en" {
		s.t.Error("no language")
	}
	ids := map[string]bool{}
	for node := range s.root.Descendants() {
		if id := attribute(node, "id"); id != "" && ids[id] {
			s.t.Errorf("%s is the id of two", id)
		} else {
			ids[id] = true
		}
		if attribute(node, "style") != "" {
			s.t.Errorf("%s has a style of its own, which the policy forbids", node.Data)
		}
	}
	for node := range s.root.Descendants() {
		for _, reference := range []string{"aria-describedby", "aria-labelledby", "for"} {
			for id := range strings.FieldsSeq(attribute(node, reference)) {
				if !ids[id] {
					s.t.Errorf("%s refers to %s, which is not there", reference, id)
				}
			}
		}
	}
}

func (s seen) checkLabels() {
	s.t.Helper()
	labelled := map[string]bool{}
	for _, label := range s.all("label") {
		labelled[attribute(label, "for")] = text(label) != ""
	}
	for _, control := range append(s.all("input"), s.all("textarea")...) {
		if attribute(control, "type") != "hidden" && !labelled[attribute(control, "id")] {
			s.t.Errorf("%s has no label", attribute(control, "name"))
		}
	}
	for _, button := range append(s.all("button"), s.all("a")...) {
		if text(button) == "" {
			s.t.Errorf("a %s without words", button.Data)
		}
	}
}

func (s seen) checkLinks(b *browser) {
	s.t.Helper()
	for _, link := range append(s.all("a"), s.all("link")...) {
		href := attribute(link, "href")
		if fragment, is := strings.CutPrefix(href, "#"); is {
			s.byID(fragment)
		} else if answer := b.get(href); answer.status >= 400 {
			s.t.Errorf("%s answers %d", href, answer.status)
		}
	}
}

func TestAPageWeighsLessThan20kB(t *testing.T) {
	s := newSurroundings(t)
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

func TestTheStylesheetIsKeptForGoodAndAnotherOneIsNot(t *testing.T) {
	b := newSurroundings(t).browser()
	var path string
	for _, link := range b.get("/").all("link") {
		if attribute(link, "rel") == "stylesheet" {
			path = attribute(link, "href")
		}
	}
	kept := b.get(path)
	if got := kept.header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" || kept.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("%s: %v", path, kept.header)
	}
	other := b.get("/static/style-0123456789ab.css")
	if other.want(200); other.header.Get("Cache-Control") != "no-store" || other.source != kept.source {
		t.Errorf("that of another replica: %v", other.header)
	}
	b.get("/static/style.css").want(404)
	b.get("/static/other-0123456789ab.css").want(404)
}

func TestANoticeIsOnEveryPage(t *testing.T) {
	s := newSurroundings(t)
	s.file.Notice = "back at 5 pm"
	b := s.browser()
	for _, path := range []string{"/", "/login", "/nowhere"} {
		if !strings.Contains(text(b.get(path).root), "back at 5 pm") {
			t.Errorf("not on %s", path)
		}
	}
}

var colour = regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)`)

func TestTextStandsOutFromItsGroundByLightAndInTheDark(t *testing.T) {
	s := newSurroundings(t)
	b := s.browser()
	sheet := b.get(attribute(b.get("/").all("link")[0], "href")).source
	colours := map[string][]string{}
	for _, found := range colour.FindAllStringSubmatch(sheet, -1) {
		colours[found[1]] = found[2:]
	}
	for _, pair := range []string{
		"ink paper", "ink card", "ink soft", "quiet paper", "quiet card", "accent paper", "accent card", "on-accent accent",
		"gold card", "gold paper", "red paper", "red card", "red soft-red",
	} {
		text, ground, _ := strings.Cut(pair, " ")
		for scheme, name := range []string{"by light", "in the dark"} {
			if got := contrast(t, colours[text][scheme], colours[ground][scheme]); got < 4.5 { // WCAG 2.2, 1.4.3
				t.Errorf("%s on %s %s: %.1f", text, ground, name, got)
			}
		}
	}
}

// contrast is what WCAG 2.2 defines as contrast ratio.
func contrast(t *testing.T, one, other string) float64 {
	t.Helper()
	light, dark := luminance(t, one), luminance(t, other)
	return (max(light, dark) + 0.05) / (min(light, dark) + 0.05)
}

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
	for at, weight := range []float64{0.2126, 0.7152, 0.0722} {
		value := float64(channels[at]) / 255
		if value <= 0.04045 {
			sum += weight * value / 12.92
		} else {
			sum += weight * math.Pow((value+0.055)/1.055, 2.4)
		}
	}
	return sum
}
