package web_test

import (
	"net/url"
	"strings"
	"testing"
)

func TestAVisitorChangesTheirPasswordAndOtherBrowsersAreLoggedOut(t *testing.T) {
	s := newTestSite(t)
	b, other := s.browser(), s.browser()
	b.signIn("ada")
	other.submit(other.get("/login"), "/login", "email", "ada@example.org", "password", password)
	account := b.get("/account")
	account.want(200, "ada · ada@example.org")
	wrong := b.submit(account, "/account/password", "currentPassword", "wrong", "newPassword", "another horse")
	if wrong.want(422); wrong.wrong("currentPassword") != "Current password is wrong." || strings.Contains(wrong.source, "another horse") {
		t.Errorf("got\n%s", wrong.source)
	}
	b.submit(account, "/account/password", "currentPassword", password, "newPassword", "another horse").
		want(200, "Your password is changed", "This session")
	other.setCookie("__Host-access", "")
	other.get("/account").want(200, "Your session has ended", "E-mail address")
	b.setCookie("__Host-access", "")
	b.get("/account").want(200, "ada@example.org")
	login := s.browser()
	login.submit(login.get("/login"), "/login", "email", "ada@example.org", "password", "another horse").want(200, "Log out")
}

func TestAVisitorSeesTheirSessionsAndEndsOneOrAllOthers(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	b.signIn("ada")
	others := []*browser{s.browser(), s.browser(), s.browser()}
	for _, other := range others {
		other.submit(other.get("/login"), "/login", "email", "ada@example.org", "password", password)
		other.setCookie("__Host-access", "") // so that the next request notices that the session has ended
	}
	account := b.get("/account")
	var ends []string
	for _, form := range account.all("form") {
		if action := attribute(form, "action"); strings.HasSuffix(action, "/end") && !strings.Contains(action, "others") {
			ends = append(ends, action)
		}
	}
	if len(ends) != 3 {
		t.Fatalf("sessions that can be ended: %v", ends)
	}
	b.submit(account, ends[0]).want(200, "The session has ended.")
	b.post(ends[0], nil).want(200, "The session has ended.") // clicked twice
	others[2].get("/account").want(200, "Your session has ended")
	b.submit(b.get("/account"), "/account/sessions/others/end").want(200, "All your other sessions have ended.")
	for _, other := range others[:2] {
		other.get("/account").want(200, "Your session has ended")
	}
	b.setCookie("__Host-access", "")
	if on := b.get("/account"); strings.Contains(on.source, "/account/sessions/") {
		t.Errorf("the only session can be ended:\n%s", on.source)
	}
}

func TestAVisitorDeletesTheirAccountAndItsContent(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	b.signIn("ada")
	shop := b.addShop("Tea")
	b.submit(b.get(shop), shop+"/reviews", "stars", "4")
	account := b.get("/account")
	wrong := b.submit(account, "/account/delete", "password", "wrong")
	if wrong.want(422); wrong.wrong("password") != "Password is wrong." {
		t.Errorf("got\n%s", wrong.source)
	}
	b.submit(account, "/account/delete", "password", password).want(200, "Your account is deleted", "Log in")
	if b.hasCookie("__Host-access") || b.hasCookie("__Host-refresh") {
		t.Error("the browser still has tokens")
	}
	b.get(shop).want(200, "Tea", "No review yet", "Log in")
	b.submit(b.get("/login"), "/login", "email", "ada@example.org", "password", password).want(403)
}

func TestAnAccountCannotBeChangedFromAnotherSiteOrWithoutALogin(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	b.signIn("ada")
	for _, path := range []string{"/account/password", "/account/delete", "/account/sessions/others/end", "/account/sessions/x/end"} {
		b.post(path, url.Values{"password": {password}}, "Sec-Fetch-Site", "cross-site").want(403, "That is not allowed")
		response := s.browser().post(path, nil)
		response.want(200, "Log in", "E-mail address")
		if !strings.Contains(response.source, `name="back" value="/account"`) {
			t.Errorf("the login leads back to\n%s", response.source)
		}
	}
	b.get("/account").want(200, "ada@example.org")
}
