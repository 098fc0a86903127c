package web_test

import (
	"net/url"
	"strings"
	"testing"
)

func TestAVisitorEditsAndDeletesTheirShopAndReview(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	b.signIn("ada")
	shop := b.addShop("Tae")
	edit := b.get(shop + "/edit")
	if got := attribute(edit.byID("name"), "value"); got != "Tae" {
		t.Errorf("the form begins with %q", got)
	}
	b.submit(edit, shop+"/edit", "name", "").want(422, "Name must not be empty.", "Delete the shop")
	changed := b.submit(edit, shop+"/edit", "name", "Tea", "city", "Graz")
	changed.want(200, "Tea", "Graz", "Edit or delete the shop")

	reviewed := b.submit(changed, shop+"/reviews", "stars", "1", "text", "baad")
	reviewed.want(200, "1 of 5 stars 1 review", "Edit or delete your review")
	path := reviewed.ownReview()
	edit = b.get(path)
	if text(edit.byID("text")) != "baad" || !checked(edit, "stars-1") {
		t.Errorf("the form begins with\n%s", edit.source)
	}
	b.submit(edit, path, "stars", "9").want(422, "Stars must be a whole number from 1 to 5.")
	b.submit(edit, path, "stars", "5", "text", "good").want(200, "5 of 5 stars 1 review", "good")
	b.submit(b.get(path), strings.TrimSuffix(path, "/edit")+"/delete").want(200, "No review yet", "Send the review")
	b.submit(b.get(shop+"/edit"), shop+"/delete").want(200, "There is no shop yet")
}

func checked(on htmlPage, id string) bool {
	for _, attr := range on.byID(id).Attr {
		if attr.Key == "checked" {
			return true
		}
	}
	return false
}

func TestAVisitorCannotEditWhatOthersAdded(t *testing.T) {
	s := newTestSite(t)
	ada, eve := s.browser(), s.browser()
	ada.signIn("ada")
	shop := ada.addShop("Tea")
	review := ada.submit(ada.get(shop), shop+"/reviews", "stars", "4").ownReview()
	eve.signIn("eve")
	if on := eve.get(shop); strings.Contains(on.source, "/edit") {
		t.Errorf("offered:\n%s", on.source)
	}
	for _, path := range []string{shop + "/edit", review} {
		eve.get(path).want(403, "It belongs to somebody else")
	}
	remove := strings.TrimSuffix(review, "/edit") + "/delete"
	for path, values := range map[string]url.Values{
		shop + "/edit": {"name": {"Mine"}}, shop + "/delete": nil, review: {"stars": {"1"}}, remove: nil,
	} {
		eve.post(path, values).want(403)
		s.browser().post(path, values).want(200, "Log in", "E-mail address")
	}
	eve.get(shop).want(200, "Tea", "4 of 5 stars 1 review")
	eve.submit(eve.get(shop), shop+"/reviews", "stars", "4")
	ada.submit(ada.get(shop+"/edit"), shop+"/delete").want(409, "Others have reviewed this shop", "Save the shop")
}

func TestALikedReviewOffersUnlikeInstead(t *testing.T) {
	s := newTestSite(t)
	b, shop := s.member()
	like := b.submit(b.get(shop), shop+"/reviews", "stars", "4").action("/like")
	unlike := strings.Replace(like, "/like", "/unlike", 1)
	for _, step := range []struct {
		on           htmlPage
		like, unlike bool
	}{{b.get(shop), true, false}, {b.post(like, nil), false, true}, {b.post(unlike, nil), true, false}} {
		if got := strings.Contains(step.on.source, like); got != step.like {
			t.Errorf("like offered: %v:\n%s", got, step.on.source)
		}
		if got := strings.Contains(step.on.source, unlike); got != step.unlike {
			t.Errorf("unlike offered: %v:\n%s", got, step.on.source)
		}
	}
	b.setCookie("__Host-access", "stale") // the API treats the visitor as not logged in
	if on := b.get(shop); !strings.Contains(on.source, like) || !strings.Contains(on.source, unlike) {
		t.Errorf("only one action is offered although the likes are unknown:\n%s", on.source)
	}
}
