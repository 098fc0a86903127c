package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"slipway/app/internal/store"
)

const unknownID = "0192f0c4-7b1e-7abc-8def-012345678901"

func TestOnlyItsCreatorEditsAndDeletesAShop(t *testing.T) {
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

func TestAShopWithReviewsOfOthersIsNotDeleted(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	s.review(shop, 1, 5)
	other := s.review(shop, 2, 3)
	response := s.do("DELETE", shop, "", s.as(1)...)
	if p := s.problem(response); response.Code != http.StatusConflict || p.Type != "/v1/problems/shop-has-reviews" {
		t.Errorf("%d %s", response.Code, response.Body)
	}
	s.wantRating(shop, `{"average":4,"reviews":2,"likes":0}`)
	s.want(http.StatusNoContent, "DELETE", "/v1/reviews/"+other.ID, "", s.as(2)...)
	s.want(http.StatusNoContent, "DELETE", shop, "", s.as(1)...)
}

func TestOnlyItsAuthorEditsAndDeletesAReview(t *testing.T) {
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
	s.review(shop, 1, 4) // a new review is possible
	s.wantRating(shop, `{"average":4,"reviews":1,"likes":0}`)
}

// personal holds the fields that depend on the user. They are nil if not logged in.
type personal struct{ Mine, LikedByMe *bool }

func (s *service) personal(target string, headers ...string) (fields personal) {
	s.t.Helper()
	response := s.do("GET", target, "", headers...)
	if err := json.Unmarshal(response.Body.Bytes(), &fields); err != nil || response.Code != http.StatusOK {
		s.t.Fatalf("%s: %d %s", target, response.Code, response.Body)
	}
	return fields
}

func TestResponsesShowWhatTheUserWroteAndLikes(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	added := s.review(shop, 2, 5)
	review := "/v1/reviews/" + added.ID
	s.want(http.StatusNoContent, "PUT", review+"/like", "", s.as(1)...)
	for name, test := range map[string]struct {
		headers                       []string
		shop, review, likes, loggedIn bool
	}{
		"the creator of the shop":  {s.as(1), true, false, true, true},
		"the author of the review": {s.as(2), false, true, false, true},
		"not logged in":            {nil, false, false, false, false},
		"with an invalid token":    {[]string{"Authorization", "Bearer x"}, false, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(what string, got *bool, want bool) {
				if (got != nil) != test.loggedIn || got != nil && *got != want {
					t.Errorf("%s: %s", what, encoded(t, got))
				}
			}
			var list struct{ Items []personal }
			json.Unmarshal(s.do("GET", shop+"/reviews", "", test.headers...).Body.Bytes(), &list)
			for _, fields := range append(list.Items, s.personal(review, test.headers...)) {
				check("review mine", fields.Mine, test.review)
				check("review liked", fields.LikedByMe, test.likes)
			}
			if len(list.Items) != 1 {
				t.Errorf("reviews %v", list)
			}
			check("shop mine", s.personal(shop, test.headers...).Mine, test.shop)
		})
	}
	s.want(http.StatusNoContent, "DELETE", review+"/like", "", s.as(1)...)
	if got := s.personal(review, s.as(1)...).LikedByMe; got == nil || *got {
		t.Error("a removed like is still shown")
	}
	if response := s.do("GET", shop, "", "If-None-Match", s.do("GET", shop, "").Header().Get("ETag"), "Authorization", s.as(1)[1]); response.Code != http.StatusOK {
		t.Errorf("the response for a user equals the one without login: %d", response.Code)
	}
}

func TestAUserFindsTheirReviewOfAShop(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	for author := range byte(5) {
		s.review(shop, author, 1+int(author))
	}
	var own review
	response := s.do("GET", shop+"/reviews/mine", "", s.as(3)...)
	if err := json.Unmarshal(response.Body.Bytes(), &own); err != nil || own.Stars != 4 {
		t.Errorf("%d %s", response.Code, response.Body)
	}
	s.want(http.StatusNotFound, "GET", shop+"/reviews/mine", "", s.as(9)...)
	s.want(http.StatusUnauthorized, "GET", shop+"/reviews/mine", "")
}
