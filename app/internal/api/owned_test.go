package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"slipway/app/internal/store"
)

const unknownID = "0192f0c4-7b1e-7abc-8def-012345678901"

func TestWhoAddedAShopEditsAndDeletesItAndNobodyElse(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("before")
	draft := `{"name": "after", "city": "Graz"}`
	s.want(http.StatusForbidden, "PUT", shop, draft, s.as(2)...)
	s.want(http.StatusForbidden, "DELETE", shop, "", s.as(2)...)
	s.want(http.StatusNotFound, "PUT", "/v1/shops/"+unknownID, draft, s.as(1)...)
	s.want(http.StatusNotFound, "DELETE", "/v1/shops/"+unknownID, "", s.as(1)...)
	s.want(http.StatusUnprocessableEntity, "PUT", shop, `{"city": "Graz"}`, s.as(1)...)
	if got := s.list("/v1/shops").Items; len(got) != 1 || got[0].Name != "before" {
		t.Errorf("changed: %v", got)
	}
	s.want(http.StatusOK, "PUT", shop, draft, s.as(1)...)
	if got := s.list("/v1/shops?query=graz").Items; len(got) != 1 || got[0].Name != "after" {
		t.Errorf("got %v", got)
	}
	s.want(http.StatusNoContent, "DELETE", shop, "", s.as(1)...)
	s.want(http.StatusNotFound, "GET", shop, "")
	s.want(http.StatusNotFound, "DELETE", shop, "", s.as(1)...)
}

func TestAShopThatOthersHaveReviewedIsNotDeleted(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	s.review(shop, 1, 5)
	other := s.review(shop, 2, 3)
	answer := s.do("DELETE", shop, "", s.as(1)...)
	if p := s.problem(answer); answer.Code != http.StatusConflict || p.Type != "/v1/problems/shop-has-reviews" {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	s.wantRating(shop, `{"average":4,"reviews":2,"likes":0}`)
	s.want(http.StatusNoContent, "DELETE", "/v1/reviews/"+other.ID, "", s.as(2)...)
	s.want(http.StatusNoContent, "DELETE", shop, "", s.as(1)...)
}

func TestWhoWroteAReviewEditsAndDeletesItAndNobodyElse(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	review := "/v1/reviews/" + s.review(shop, 1, 5).ID
	s.want(http.StatusNoContent, "PUT", review+"/like", "", s.as(2)...)
	s.want(http.StatusForbidden, "PUT", review, `{"stars": 1}`, s.as(2)...)
	s.want(http.StatusForbidden, "DELETE", review, "", s.as(2)...)
	s.want(http.StatusNotFound, "PUT", "/v1/reviews/"+unknownID, `{"stars": 1}`, s.as(1)...)
	s.want(http.StatusNotFound, "DELETE", "/v1/reviews/"+unknownID, "", s.as(1)...)
	s.wantRating(shop, `{"average":5,"reviews":1,"likes":1}`)
	s.want(http.StatusOK, "PUT", review, `{"stars": 2, "text": "changed"}`, s.as(1)...)
	s.wantRating(shop, `{"average":2,"reviews":1,"likes":1}`)
	s.want(http.StatusNoContent, "DELETE", review, "", s.as(1)...)
	s.wantRating(shop, `{"average":null,"reviews":0,"likes":0}`)
	s.want(http.StatusNotFound, "DELETE", review, "", s.as(1)...)
	s.review(shop, 1, 4) // may be written anew
	s.wantRating(shop, `{"average":4,"reviews":1,"likes":0}`)
}

// seen is what a user is told of their own; nil: nothing.
type seen struct{ Mine, LikedByMe *bool }

func (s *service) seen(target string, headers ...string) (found seen) {
	s.t.Helper()
	answer := s.do("GET", target, "", headers...)
	if err := json.Unmarshal(answer.Body.Bytes(), &found); err != nil || answer.Code != http.StatusOK {
		s.t.Fatalf("%s: %d %s", target, answer.Code, answer.Body)
	}
	return found
}

func TestAUserIsToldWhatTheyWroteAndLike(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	added := s.review(shop, 2, 5)
	review := "/v1/reviews/" + added.ID
	s.want(http.StatusNoContent, "PUT", review+"/like", "", s.as(1)...)
	for name, each := range map[string]struct {
		headers                 []string
		shop, review, likes, is bool
	}{
		"who likes it":             {s.as(1), true, false, true, true},
		"who wrote it":             {s.as(2), false, true, false, true},
		"nobody":                   {nil, false, false, false, false},
		"with a token that is bad": {[]string{"Authorization", "Bearer x"}, false, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(what string, got *bool, want bool) {
				if (got != nil) != each.is || got != nil && *got != want {
					t.Errorf("%s: %s", what, encoded(t, got))
				}
			}
			var list struct{ Items []seen }
			json.Unmarshal(s.do("GET", shop+"/reviews", "", each.headers...).Body.Bytes(), &list)
			for _, found := range append(list.Items, s.seen(review, each.headers...)) {
				check("review mine", found.Mine, each.review)
				check("review liked", found.LikedByMe, each.likes)
			}
			if len(list.Items) != 1 {
				t.Errorf("reviews %v", list)
			}
			check("shop mine", s.seen(shop, each.headers...).Mine, each.shop)
		})
	}
	s.want(http.StatusNoContent, "DELETE", review+"/like", "", s.as(1)...)
	if got := s.seen(review, s.as(1)...).LikedByMe; got == nil || *got {
		t.Error("a like that was taken back is told")
	}
	if answer := s.do("GET", shop, "", "If-None-Match", s.do("GET", shop, "").Header().Get("ETag"), "Authorization", s.as(1)[1]); answer.Code != http.StatusOK {
		t.Errorf("what nobody sees is taken for what a user sees: %d", answer.Code)
	}
}

func TestAUserFindsTheirReviewOfAShop(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	for author := range byte(5) {
		s.review(shop, author, 1+int(author))
	}
	var found review
	answer := s.do("GET", shop+"/reviews/mine", "", s.as(3)...)
	if err := json.Unmarshal(answer.Body.Bytes(), &found); err != nil || found.Stars != 4 {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	s.want(http.StatusNotFound, "GET", shop+"/reviews/mine", "", s.as(9)...)
	s.want(http.StatusUnauthorized, "GET", shop+"/reviews/mine", "")
}
