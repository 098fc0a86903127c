// Package storetest tests what every implementation of store.Store has to do. The tests of each implementation run
// Contract; what only one of them does is tested in its own package.
package storetest

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"

	"slipway/app/internal/store"
)

// fixture is an empty store, with helpers that add to it.
type fixture struct {
	store.Store
	t       *testing.T
	creator store.ID // of all shops that the helpers add
}

// Contract runs all tests, each with an empty store of its own.
func Contract(t *testing.T, empty func(t *testing.T) store.Store) {
	for name, test := range map[string]func(fixture){
		"a user is found by their e-mail address, which is unique":     uniqueEmail,
		"a refresh token that is used again at once changes nothing":   repeatedRenewal,
		"a refresh token that is two renewals old ends the session":    oldTokenEndsSession,
		"a session cannot be renewed once it has expired or was ended": endedSessions,
		"a user lists and ends sessions, and only their own":           ownSessions,
		"one session too many ends the least recently used one":        tooManySessions,
		"concurrent logins do not make too many sessions":              concurrentLogins,
		"a login with a password that was just changed fails":          staleLogin,
		"deleting expired sessions keeps the others":                   deleteExpired,
		"concurrent renewals with one token get the same session":      concurrentRenewals,
		"IDs sort in the order of their generation":                    sortedIDs,
		"a shop is found by its ID":                                    findShop,
		"pages list each shop once, newest first":                      pagesOfShops,
		"previous pages are the reverse of next pages":                 previousPages,
		"shops are searched in name and city":                          searchShops,
		"leaders are sorted by score":                                  sortedLeaders,
		"a user reviews a shop once":                                   oneReviewPerShop,
		"reviews of a shop come in pages":                              pagesOfReviews,
		"a changed password ends all other sessions":                   changePassword,
		"deleting a user deletes what they wrote, but not their shops": deleteUser,
		"a deleted user adds nothing":                                  deletedUserAddsNothing,
		"only its creator changes a shop":                              changeShop,
		"a shop with reviews of other users cannot be deleted":         deleteShop,
		"only its author changes a review":                             changeReview,
		"deleting a review deletes its likes, and allows a new one":    deleteReview,
		"the likes of a user are found for a list of reviews":          likedReviews,
		"likes are idempotent":                                         likeTwice,
		"concurrent likes are counted exactly":                         concurrentLikes,
		"recounts are idempotent":                                      recountTwice,
		"an idempotency key adds once":                                 addOnce,
		"an idempotency key can be used again after a failure":         addAfterFailure,
		"concurrent requests with one idempotency key add once":        addOnceConcurrently,
		"deleting a user deletes their idempotency keys":               deletedKeys,
		"a working store passes its check":                             check,
	} {
		t.Run(name, func(t *testing.T) {
			s := fixture{Store: empty(t), t: t}
			s.creator = s.user("creator")
			test(s)
		})
	}
}

// must returns a function that returns a value, or fails the test on an error.
func must[T any](t *testing.T) func(value T, err error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// member adds a user.
func (s fixture) member(name string) store.User {
	s.t.Helper()
	draft := store.UserDraft{Email: name + "@example.org", Name: name, PasswordHash: "hash of " + name}
	return must[store.User](s.t)(s.AddUser(s.t.Context(), draft))
}

// user adds a user and returns the ID.
func (s fixture) user(name string) store.ID {
	s.t.Helper()
	return s.member(name).ID
}

func (s fixture) shop(name string) store.ID {
	s.t.Helper()
	return must[store.Shop](s.t)(s.AddShop(s.t.Context(), s.creator, store.ShopDraft{Name: name})).ID
}

func (s fixture) review(shop, author store.ID, stars int) store.ID {
	s.t.Helper()
	draft := store.ReviewDraft{Shop: shop, Author: author, Stars: stars, Text: "größer\n<b>"}
	return must[store.Review](s.t)(s.AddReview(s.t.Context(), draft)).ID
}

func (s fixture) recount(change store.Change) {
	s.t.Helper()
	if err := s.Recount(s.t.Context(), change); err != nil {
		s.t.Fatal(err)
	}
}

func (s fixture) rating(shop store.ID) store.Rating {
	s.t.Helper()
	return must[store.Shop](s.t)(s.Shop(s.t.Context(), shop)).Rating
}

func (s fixture) wantErr(err, want error) {
	s.t.Helper()
	if !errors.Is(err, want) {
		s.t.Errorf("got %v, want %v", err, want)
	}
}

func names[T any](all []T, name func(T) string) (result []string) {
	for _, item := range all {
		result = append(result, name(item))
	}
	return result
}

func shopName(shop store.Shop) string { return shop.Name }

func (s fixture) wantNames(got []string, want ...string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Errorf("got %q, want %q", got, want)
	}
}

func uniqueEmail(s fixture) {
	draft := store.UserDraft{Email: "ada@example.org", Name: "Ada Größe 🦆", PasswordHash: "$argon2id$x"}
	added := must[store.User](s.t)(s.AddUser(s.t.Context(), draft))
	if got := must[store.User](s.t)(s.UserByEmail(s.t.Context(), draft.Email)); got != added || got.UserDraft != draft {
		s.t.Errorf("got %+v, added %+v", got, added)
	}
	_, err := s.AddUser(s.t.Context(), store.UserDraft{Email: draft.Email, Name: "Other"})
	s.wantErr(err, store.ErrTaken)
	_, err = s.UserByEmail(s.t.Context(), "adä@example.org")
	s.wantErr(err, store.ErrNotFound)
}

// concurrently runs do many times at once, and waits.
func concurrently(times int, do func(number int)) {
	var all sync.WaitGroup
	for number := range times {
		all.Go(func() { do(number) })
	}
	all.Wait()
}

func sortedIDs(s fixture) {
	var last store.ID
	for range 50 {
		id := s.shop("x")
		if bytes.Compare(id[:], last[:]) <= 0 {
			s.t.Fatalf("%v generated after %v", id, last)
		}
		last = id
	}
}

func findShop(s fixture) {
	s.shop("before")
	draft := store.ShopDraft{Name: "wanted", City: "Zürich", Description: "a\nb 🦆"}
	added := must[store.Shop](s.t)(s.AddShop(s.t.Context(), s.user("ada"), draft))
	s.shop("after")
	if got := must[store.Shop](s.t)(s.Shop(s.t.Context(), added.ID)); got != added || got.ShopDraft != draft || got.CreatedAt.IsZero() {
		s.t.Errorf("got %+v, added %+v", got, added)
	}
	_, err := s.Shop(s.t.Context(), store.ID{1})
	s.wantErr(err, store.ErrNotFound)
}

func searchShops(s fixture) {
	for _, draft := range []store.ShopDraft{
		{Name: "Äpfel & Co", City: "Wien"}, {Name: "100% Juice", City: "Bern"}, {Name: "a_b", City: "Wien"}, {Name: `back\slash`},
	} {
		must[store.Shop](s.t)(s.AddShop(s.t.Context(), s.creator, draft))
	}
	for text, want := range map[string][]string{
		"äPF": {"Äpfel & Co"}, "a\u0308pf": {"Äpfel & Co"}, "wien": {"a_b", "Äpfel & Co"}, "%": {"100% Juice"}, "_": {"a_b"}, `\`: {`back\slash`}, "apf": nil, "co\nwien": {"Äpfel & Co"},
	} {
		s.wantNames(names(must[[]store.Shop](s.t)(s.Shops(s.t.Context(), text, store.Page{Limit: 10})), shopName), want...)
	}
}

func sortedLeaders(s fixture) {
	users := []store.ID{s.user("a"), s.user("b"), s.user("c")}
	for name, stars := range map[string][]int{"bad": {1, 1, 2}, "one vote": {5}, "best": {5, 5, 4}} {
		shop := s.shop(name)
		for at, stars := range stars {
			s.review(shop, users[at], stars)
		}
		s.recount(store.Change{Shop: shop})
	}
	s.shop("no vote")
	s.shop("no vote either")
	got := must[[]store.Shop](s.t)(s.Leaders(s.t.Context(), 4))
	s.wantNames(names(got, shopName), "best", "one vote", "no vote", "no vote either")
	if got := must[[]store.Shop](s.t)(s.Leaders(s.t.Context(), 100)); len(got) != 5 || got[0].Rating != (store.Rating{Reviews: 3, Stars: 14}) {
		s.t.Errorf("got %+v", got)
	}
}

func check(s fixture) { s.wantErr(s.Check(s.t.Context()), nil) }
