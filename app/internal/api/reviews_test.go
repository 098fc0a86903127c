package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"slipway/app/internal/api"
	"slipway/app/internal/store"
)

type review struct {
	ID     string
	Stars  int
	Text   string
	Likes  int
	Author struct{ ID, Name string }
}

// review adds a review by the user with this number.
func (s *service) review(shop string, author byte, stars int) (added review) {
	s.t.Helper()
	response := s.do("POST", shop+"/reviews", fmt.Sprintf(`{"stars": %d, "text": "by %d"}`, stars, author), s.as(author)...)
	if err := json.Unmarshal(response.Body.Bytes(), &added); response.Code != http.StatusCreated || err != nil {
		s.t.Fatalf("%d %s", response.Code, response.Body)
	}
	return added
}

func (s *service) rating(shop string) string {
	s.t.Helper()
	var rated struct{ Rating json.RawMessage }
	if err := json.Unmarshal(s.do("GET", shop, "").Body.Bytes(), &rated); err != nil {
		s.t.Fatal(err)
	}
	return string(rated.Rating)
}

func (s *service) wantRating(shop, want string) {
	s.t.Helper()
	if got := s.rating(shop); got != want {
		s.t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheRatingOfAShopIsComputedFromItsReviews(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	etag := s.do("GET", shop, "").Header().Get("ETag")
	for author, stars := range []int{5, 4, 4} {
		s.review(shop, byte(author), stars)
	}
	s.wantRating(shop, `{"average":4.33,"reviews":3,"likes":0}`)
	if response := s.do("GET", shop, "", "If-None-Match", etag); response.Code != http.StatusOK {
		t.Errorf("the ETag does not change with the rating: %d", response.Code)
	}
}

func TestAUserReviewsAShopOnce(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	s.review(shop, 1, 5)
	response := s.do("POST", shop+"/reviews", `{"stars": 1}`, s.as(1)...)
	if s.problem(response); response.Code != http.StatusConflict {
		t.Errorf("got %d", response.Code)
	}
	s.wantRating(shop, `{"average":5,"reviews":1,"likes":0}`)
	unknown := s.do("POST", "/v1/shops/0192f0c4-7b1e-7abc-8def-012345678901/reviews", `{"stars": 1}`, s.as(1)...)
	if s.problem(unknown); unknown.Code != http.StatusNotFound {
		t.Errorf("got %d for an unknown shop", unknown.Code)
	}
}

func TestEachInvalidFieldOfAReviewIsReported(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	for body, want := range map[string][]string{
		`{}`:           {"stars"},
		`{"stars": 0}`: {"stars"},
		`{"stars": 6}`: {"stars"},
		`{"stars": 4.5, "text": "a\u0000", "likes": 9}`: {"likes", "stars", "text"},
		`{"stars": "5"}`:                  {"stars"},
		`{"stars": null}`:                 {"stars"},
		`{"stars": 99999999999999999999}`: {"stars"},
		`{"stars": 5, "text": "` + strings.Repeat("x", 950) + `\ud83d"}`: nil,
	} {
		response := s.do("POST", shop+"/reviews", body, s.as(1)...)
		if want == nil {
			if response.Code != http.StatusCreated {
				t.Errorf("%s: %d", body, response.Code)
			}
			continue
		}
		if got := s.problem(response).fields(); response.Code != http.StatusUnprocessableEntity || !slices.Equal(got, want) {
			t.Errorf("%s: %d naming %v, want %v", body, response.Code, got, want)
		}
	}
}

func TestPagesListEachReviewOnceNewestFirst(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	for author := range byte(5) {
		s.review(shop, author, 1+int(author))
	}
	var got []int
	for next := shop + "/reviews"; next != ""; {
		var page struct {
			Items []review
			Next  string
		}
		if err := json.Unmarshal(s.do("GET", next, "").Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			got = append(got, item.Stars)
		}
		next = page.Next
	}
	if !slices.Equal(got, []int{5, 4, 3, 2, 1}) {
		t.Errorf("got %v", got)
	}
}

func TestLikesAreIdempotent(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	like := "/v1/reviews/" + s.review(shop, 1, 5).ID + "/like"
	for _, step := range []struct {
		method string
		user   byte
		likes  int
	}{{"PUT", 1, 1}, {"PUT", 1, 1}, {"PUT", 2, 2}, {"DELETE", 1, 1}, {"DELETE", 1, 1}, {"DELETE", 2, 0}} {
		if response := s.do(step.method, like, "", s.as(step.user)...); response.Code != http.StatusNoContent || response.Body.Len() > 0 {
			t.Errorf("%s: %d %s", step.method, response.Code, response.Body)
		}
		s.wantRating(shop, fmt.Sprintf(`{"average":5,"reviews":1,"likes":%d}`, step.likes))
	}
	for _, unknown := range []string{"x", "0192f0c4-7b1e-7abc-8def-012345678901"} {
		if response := s.do("PUT", "/v1/reviews/"+unknown+"/like", "", s.as(1)...); response.Code != http.StatusNotFound {
			t.Errorf("%s: %d", unknown, response.Code)
		}
	}
}

func TestAStoredChangeSucceedsEvenIfItsRecountFails(t *testing.T) {
	s := newService(t, &store.Memory{})
	shop := s.add("x")
	like := "/v1/reviews/" + s.review(shop, 1, 5).ID + "/like"
	options := s.options()
	options.Announce = func(context.Context, store.Change) error { return store.ErrUnavailable }
	s.Handler = api.New(options)
	s.review(shop, 2, 5)
	if response := s.do("PUT", like, "", s.as(1)...); response.Code != http.StatusNoContent {
		t.Errorf("got %d", response.Code)
	}
}

func TestTheLeaderboardIsSortedByScore(t *testing.T) {
	s := newService(t, &store.Memory{})
	worst, best := s.add("worst"), s.add("best")
	s.add("not reviewed")
	s.review(worst, 1, 1)
	s.review(best, 1, 5)
	var got []string
	for _, shop := range s.list("/v1/leaderboard?limit=3").Items {
		got = append(got, shop.Name)
	}
	if !slices.Equal(got, []string{"best", "not reviewed", "worst"}) {
		t.Errorf("got %v", got)
	}
	response := s.do("GET", "/v1/leaderboard", "")
	if again := s.do("GET", "/v1/leaderboard", "", "If-None-Match", response.Header().Get("ETag")); again.Code != http.StatusNotModified {
		t.Errorf("got %d", again.Code)
	}
	wrong := s.do("GET", "/v1/leaderboard?limit=none", "")
	if got := s.problem(wrong).fields(); wrong.Code != http.StatusBadRequest || !slices.Equal(got, []string{"limit"}) {
		t.Errorf("%d naming %v", wrong.Code, got)
	}
}

func TestShopsAreFoundByNameAndCity(t *testing.T) {
	s := newService(t, &store.Memory{})
	s.do("POST", "/v1/shops", `{"name": "Apfel", "city": "Köln"}`, s.as(1)...)
	s.add("Birne")
	for query, want := range map[string]int{"apf": 1, "K%C3%96LN": 1, "": 2, "birnen": 0} {
		if got := s.list("/v1/shops?query=" + query).Items; len(got) != want {
			t.Errorf("%q: %v", query, got)
		}
	}
}
