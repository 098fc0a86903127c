package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestAVisitorSignsUpReviewsLikesAndLogsOut(t *testing.T) {
	s := newTestSite(t)
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

// action returns the action of the first form whose action ends like this.
func (p htmlPage) action(end string) string {
	p.t.Helper()
	for _, form := range p.all("form") {
		if action := attribute(form, "action"); strings.HasSuffix(action, end) {
			return action
		}
	}
	p.t.Fatalf("no form has an action that ends with %s:\n%s", end, p.source)
	return ""
}

func TestSearchResultsListEachShopOnce(t *testing.T) {
	s := newTestSite(t)
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

// withText returns the link with this text.
func (p htmlPage) withText(words string) *html.Node {
	p.t.Helper()
	for _, link := range p.all("a") {
		if text(link) == words {
			return link
		}
	}
	p.t.Fatalf("no link %q on %s", words, p.path)
	return nil
}

// link returns the target of the link with this relation, or "".
func (p htmlPage) link(relation string) string {
	for _, link := range p.all("a") {
		if attribute(link, "rel") == relation {
			return attribute(link, "href")
		}
	}
	return ""
}

func TestReviewsHavePagesAndALikeReturnsToItsPage(t *testing.T) {
	s := newTestSite(t)
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

// ownReview returns the path where the visitor edits their review.
func (p htmlPage) ownReview() string {
	p.t.Helper()
	for _, link := range p.all("a") {
		if href := attribute(link, "href"); strings.Contains(href, "/reviews/") {
			return href
		}
	}
	p.t.Fatalf("no review can be edited:\n%s", p.source)
	return ""
}

// likes returns the action of the first form that likes a review, or "".
func (p htmlPage) likes() string {
	for _, form := range p.all("form") {
		if action := attribute(form, "action"); strings.Contains(action, "/like") {
			return action
		}
	}
	return ""
}

func TestErrorsAreShownBesideTheirFieldsAndAllValuesButPasswordsAreKept(t *testing.T) {
	b := newTestSite(t).browser()
	refused := b.submit(b.get("/signup"), "/signup", "name", "Ada", "email", "nobody", "password", "tooshort!")
	refused.want(422)
	if got := refused.wrong("email"); got != "E-mail address must be an e-mail address." {
		t.Errorf("the error of email is %s", got)
	}
	if got := refused.wrong("password"); got != "Password must have at least 10 characters." {
		t.Errorf("the error of password is %s", got)
	}
	if got := attribute(refused.byID("name"), "value") + " " + attribute(refused.byID("email"), "value"); got != "Ada nobody" {
		t.Errorf("the form shows %s", got)
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
		t.Errorf("the error is %s", taken.wrong("email"))
	}
	wrong := b.submit(b.get("/login"), "/login", "email", "ada@example.org", "password", "wrong horse")
	wrong.want(403, "The e-mail address or the password is wrong.")
	if attribute(wrong.byID("email"), "value") != "ada@example.org" || strings.Contains(wrong.source, "wrong horse") {
		t.Errorf("the form is\n%s", wrong.source)
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

func TestALoginLeadsBackToThePreviousPageButNeverToAnotherSite(t *testing.T) {
	s := newTestSite(t)
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
	login := b.get("/shops/new")
	if got := b.submit(login, "/login", "email", "ada@example.org", "password", password).path; got != "/shops/new" {
		t.Errorf("led to %s", got)
	}
}

func TestANoticeIsOnEveryPage(t *testing.T) {
	s := newTestSite(t)
	s.file.Notice = "back at 5 pm"
	b := s.browser()
	for _, path := range []string{"/", "/login", "/nowhere"} {
		if !strings.Contains(text(b.get(path).root), "back at 5 pm") {
			t.Errorf("not on %s", path)
		}
	}
}
