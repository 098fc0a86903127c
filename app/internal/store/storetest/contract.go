// Package storetest holds what every store has to do. Each store's tests run it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"slipway/app/internal/store"
)

// stores is a store with what tests need again and again.
type stores struct {
	store.Store
	t       *testing.T
	creator store.ID // of shops
}

// Contract runs all tests, each with an empty store.
func Contract(t *testing.T, empty func(t *testing.T) store.Store) {
	for name, test := range map[string]func(stores){
		"a user is found by their e-mail address, which is theirs alone": oneUserPerAddress,
		"a refresh token that comes again at once changes nothing":       aLostAnswerIsRepeated,
		"a refresh token of two renewals ago ends the session":           anOldTokenEndsTheSession,
		"a session ends when it is over or ended":                        sessionsEnd,
		"a user lists and ends sessions, and only their own":             ownSessions,
		"of too many sessions the one unused for longest ends":           tooManySessions,
		"logins at the same time do not make too many sessions":          loginsAtOnce,
		"a password that was changed meanwhile does not log in":          staleLogin,
		"a sweep leaves the sessions that are not over":                  sweep,
		"all who use the same token at once get the same session":        oneRenewalWins,
		"ids sort by the time they were made":                            idsSort,
		"a shop is found by its id":                                      shopIsFound,
		"pages have each shop once, newest first":                        pagesOfShops,
		"pages lead back the way they came":                              pagesBack,
		"shops are searched in name and city":                            search,
		"the best shops lead":                                            leaders,
		"a user reviews a shop once":                                     oneReview,
		"reviews of a shop come in pages":                                pagesOfReviews,
		"a changed password ends all sessions but one":                   changedPassword,
		"a deleted user takes along what they wrote, but no shop":        deletedUser,
		"a deleted user adds nothing":                                    deletedUserAddsNothing,
		"who added a shop changes it, and nobody else":                   ownShop,
		"a shop is deleted with one's own review but not with others'":   deletedShop,
		"who wrote a review changes it, and nobody else":                 ownReview,
		"a deleted review takes its likes along and may be written anew": deletedReview,
		"a user's likes are told for the reviews of a page":              liked,
		"liking twice is liking once":                                    likes,
		"likes of many at once are counted exactly":                      manyLikes,
		"counting twice changes nothing":                                 recountTwice,
		"an idempotency key adds once":                                   addOnce,
		"an idempotency key of an addition that failed may be repeated":  addAfterFailure,
		"of many requests with one idempotency key one adds":             addOnceAtATime,
		"a deleted user's idempotency keys are forgotten":                forgottenKeys,
		"a store that works says so":                                     check,
	} {
		t.Run(name, func(t *testing.T) {
			s := stores{Store: empty(t), t: t}
			s.creator = s.user("creator")
			test(s)
		})
	}
}

func must[T any](t *testing.T) func(value T, err error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func (s stores) member(name string) store.User {
	s.t.Helper()
	draft := store.UserDraft{Email: name + "@example.org", Name: name, PasswordHash: "hash of " + name}
	return must[store.User](s.t)(s.AddUser(s.t.Context(), draft))
}

func (s stores) user(name string) store.ID {
	s.t.Helper()
	return s.member(name).ID
}

func (s stores) shop(name string) store.ID {
	s.t.Helper()
	return must[store.Shop](s.t)(s.AddShop(s.t.Context(), s.creator, store.ShopDraft{Name: name})).ID
}

func (s stores) review(shop, author store.ID, stars int) store.ID {
	s.t.Helper()
	draft := store.ReviewDraft{Shop: shop, Author: author, Stars: stars, Text: "größer\n<b>"}
	return must[store.Review](s.t)(s.AddReview(s.t.Context(), draft)).ID
}

func (s stores) recount(change store.Change) {
	s.t.Helper()
	if err := s.Recount(s.t.Context(), change); err != nil {
		s.t.Fatal(err)
	}
}

func (s stores) rating(shop store.ID) store.Rating {
	s.t.Helper()
	return must[store.Shop](s.t)(s.Shop(s.t.Context(), shop)).Rating
}

func (s stores) wants(err, want error) {
	s.t.Helper()
	if !errors.Is(err, want) {
		s.t.Errorf("got %v, want %v", err, want)
	}
}

func names[T any](all []T, name func(T) string) (result []string) {
	for _, each := range all {
		result = append(result, name(each))
	}
	return result
}

func shopName(shop store.Shop) string { return shop.Name }

func (s stores) wantNames(got []string, want ...string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Errorf("got %q, want %q", got, want)
	}
}

func oneUserPerAddress(s stores) {
	draft := store.UserDraft{Email: "ada@example.org", Name: "Ada Größe 🦆", PasswordHash: "$argon2id$x"}
	added := must[store.User](s.t)(s.AddUser(s.t.Context(), draft))
	if got := must[store.User](s.t)(s.UserByEmail(s.t.Context(), draft.Email)); got != added || got.UserDraft != draft {
		s.t.Errorf("got %+v, added %+v", got, added)
	}
	_, err := s.AddUser(s.t.Context(), store.UserDraft{Email: draft.Email, Name: "Other"})
	s.wants(err, store.ErrTaken)
	_, err = s.UserByEmail(s.t.Context(), "adä@example.org")
	s.wants(err, store.ErrNotFound)
}

func together(times int, do func(number int)) {
	var all sync.WaitGroup
	for number := range times {
		all.Go(func() { do(number) })
	}
	all.Wait()
}

func idsSort(s stores) {
	var last store.ID
	for range 50 {
		id := s.shop("x")
		if bytes.Compare(id[:], last[:]) <= 0 {
			s.t.Fatalf("%v made after %v", id, last)
		}
		last = id
	}
}

func shopIsFound(s stores) {
	s.shop("before")
	draft := store.ShopDraft{Name: "wanted", City: "Zürich", Description: "a\nb 🦆"}
	added := must[store.Shop](s.t)(s.AddShop(s.t.Context(), s.user("ada"), draft))
	s.shop("after")
	if got := must[store.Shop](s.t)(s.Shop(s.t.Context(), added.ID)); got != added || got.ShopDraft != draft || got.CreatedAt.IsZero() {
		s.t.Errorf("got %+v, added %+v", got, added)
	}
	_, err := s.Shop(s.t.Context(), store.ID{1})
	s.wants(err, store.ErrNotFound)
}

func search(s stores) {
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

func leaders(s stores) {
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

func oneReview(s stores) {
	shop, ada := s.shop("x"), s.user("ada")
	s.review(shop, ada, 4)
	_, err := s.AddReview(s.t.Context(), store.ReviewDraft{Shop: shop, Author: ada, Stars: 1})
	s.wants(err, store.ErrTaken)
	s.review(s.shop("another"), ada, 1)
	_, err = s.AddReview(s.t.Context(), store.ReviewDraft{Shop: store.ID{1}, Author: ada, Stars: 1})
	s.wants(err, store.ErrNotFound)
	s.recount(store.Change{Shop: shop})
	if got := s.rating(shop); got != (store.Rating{Reviews: 1, Stars: 4}) {
		s.t.Errorf("got %+v", got)
	}
}

func (s stores) likesOf(shop store.ID) int {
	s.t.Helper()
	return must[[]store.Review](s.t)(s.Reviews(s.t.Context(), shop, store.Page{Limit: 1}))[0].Likes
}

func likes(s stores) {
	shop, ada, bob := s.shop("x"), s.user("ada"), s.user("bob")
	review := s.review(shop, ada, 4)
	for _, step := range []struct {
		do   func() (store.Change, error)
		want int
	}{
		{func() (store.Change, error) { return s.Like(s.t.Context(), review, ada) }, 1},
		{func() (store.Change, error) { return s.Like(s.t.Context(), review, ada) }, 1},
		{func() (store.Change, error) { return s.Like(s.t.Context(), review, bob) }, 2},
		{func() (store.Change, error) { return s.Unlike(s.t.Context(), review, ada) }, 1},
		{func() (store.Change, error) { return s.Unlike(s.t.Context(), review, ada) }, 1},
	} {
		change := must[store.Change](s.t)(step.do())
		if change != (store.Change{Shop: shop, Review: review}) {
			s.t.Fatalf("changed %+v", change)
		}
		s.recount(change)
		if got, sum := s.likesOf(shop), s.rating(shop).Likes; got != step.want || sum != step.want {
			s.t.Fatalf("%d and %d likes, want %d", got, sum, step.want)
		}
	}
	_, err := s.Like(s.t.Context(), store.ID{1}, ada)
	s.wants(err, store.ErrNotFound)
	_, err = s.Unlike(s.t.Context(), store.ID{1}, ada)
	s.wants(err, store.ErrNotFound)
}

func manyLikes(s stores) {
	shop := s.shop("x")
	review := s.review(shop, s.user("author"), 4)
	const clients, each = 10, 10
	together(clients, func(client int) {
		for number := range each {
			user := s.user(fmt.Sprintf("%d-%d", client, number))
			change, err := s.Like(s.t.Context(), review, user)
			if err == nil {
				err = s.Recount(s.t.Context(), change)
			}
			if err != nil {
				s.t.Error(err)
			}
		}
	})
	if got, sum := s.likesOf(shop), s.rating(shop).Likes; got != clients*each || sum != clients*each {
		s.t.Errorf("%d and %d likes, want %d", got, sum, clients*each)
	}
}

func recountTwice(s stores) {
	shop, ada := s.shop("x"), s.user("ada")
	change := must[store.Change](s.t)(s.Like(s.t.Context(), s.review(shop, ada, 4), ada))
	for range 3 {
		s.recount(change)
	}
	if got := s.rating(shop); got != (store.Rating{Reviews: 1, Stars: 4, Likes: 1}) {
		s.t.Errorf("got %+v", got)
	}
	s.recount(store.Change{Shop: store.ID{1}, Review: store.ID{1}}) // nothing there: nothing to do
}

func check(s stores) { s.wants(s.Check(s.t.Context()), nil) }

// keyed is a context with an idempotency key.
func (s stores) keyed(key, request byte) context.Context {
	return store.WithIdempotencyKey(s.t.Context(), func() store.IdempotencyKey {
		return store.IdempotencyKey{Key: [32]byte{key}, Request: [32]byte{request}}
	})
}

func addOnce(s stores) {
	user := store.UserDraft{Email: "ada@example.org", Name: "Ada", PasswordHash: "a hash"}
	ada := must[store.User](s.t)(s.AddUser(s.keyed(1, 1), user))
	again := must[store.User](s.t)(s.AddUser(s.keyed(1, 1), user))
	if again.ID != ada.ID || again.Email != ada.Email || again.Name != ada.Name || !again.CreatedAt.Equal(ada.CreatedAt) {
		s.t.Errorf("got %+v, then %+v", ada, again)
	}
	shop := must[store.Shop](s.t)(s.AddShop(s.keyed(2, 1), ada.ID, store.ShopDraft{Name: "x", City: "Köln"}))
	review := must[store.Review](s.t)(s.AddReview(s.keyed(3, 1), store.ReviewDraft{Shop: shop.ID, Author: ada.ID, Stars: 4, Text: "größer"}))
	s.recount(store.Change{Shop: shop.ID})
	if again := must[store.Shop](s.t)(s.AddShop(s.keyed(2, 1), ada.ID, store.ShopDraft{Name: "x", City: "Köln"})); again != shop {
		s.t.Errorf("got %+v, then %+v", shop, again)
	}
	if again := must[store.Review](s.t)(s.AddReview(s.keyed(3, 1), store.ReviewDraft{Shop: shop.ID, Author: ada.ID, Stars: 4, Text: "größer"})); again != review {
		s.t.Errorf("got %+v, then %+v", review, again)
	}
	if shops := must[[]store.Shop](s.t)(s.Shops(s.t.Context(), "", store.Page{Limit: 10})); len(shops) != 1 {
		s.t.Errorf("there are %d shops", len(shops))
	}
	_, err := s.AddShop(s.keyed(2, 2), ada.ID, store.ShopDraft{Name: "y"})
	s.wants(err, store.ErrKeyReused)
	if other := must[store.Shop](s.t)(s.AddShop(s.keyed(4, 1), ada.ID, store.ShopDraft{Name: "x"})); other.ID == shop.ID {
		s.t.Error("another key added nothing")
	}
}

func addAfterFailure(s stores) {
	_, err := s.AddReview(s.keyed(1, 1), store.ReviewDraft{Shop: store.ID{1}, Author: s.creator, Stars: 4})
	s.wants(err, store.ErrNotFound)
	must[store.Review](s.t)(s.AddReview(s.keyed(1, 1), store.ReviewDraft{Shop: s.shop("x"), Author: s.creator, Stars: 4}))
}

func addOnceAtATime(s stores) {
	var mu sync.Mutex
	ids := map[store.ID]int{}
	together(20, func(int) {
		shop, err := s.AddShop(s.keyed(1, 1), s.creator, store.ShopDraft{Name: "x"})
		if err != nil {
			s.t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		ids[shop.ID]++
	})
	if shops := must[[]store.Shop](s.t)(s.Shops(s.t.Context(), "", store.Page{Limit: 30})); len(shops) != 1 || len(ids) != 1 {
		s.t.Errorf("there are %d shops, and %d were answered", len(shops), len(ids))
	}
}

func forgottenKeys(s stores) {
	bob, draft := s.user("bob"), store.UserDraft{Email: "ada@example.org", Name: "Ada"}
	addAll := func() (user store.User, shop store.Shop, review store.Review) {
		user = must[store.User](s.t)(s.AddUser(s.keyed(1, 1), draft))
		shop = must[store.Shop](s.t)(s.AddShop(s.keyed(2, 1), user.ID, store.ShopDraft{Name: "x"}))
		return user, shop, must[store.Review](s.t)(s.AddReview(s.keyed(3, 1), store.ReviewDraft{Shop: shop.ID, Author: user.ID, Stars: 4}))
	}
	kept := must[store.Shop](s.t)(s.AddShop(s.keyed(4, 1), bob, store.ShopDraft{Name: "bob's"}))
	user, shop, review := addAll()
	must[[]store.Change](s.t)(s.DeleteUser(s.t.Context(), user))
	if user2, shop2, review2 := addAll(); user2.ID == user.ID || shop2.ID == shop.ID || review2.ID == review.ID {
		s.t.Errorf("got %v %v %v again", user2, shop2, review2)
	}
	if again := must[store.Shop](s.t)(s.AddShop(s.keyed(4, 1), bob, store.ShopDraft{Name: "bob's"})); again != kept {
		s.t.Errorf("another user's key is forgotten: got %+v, then %+v", kept, again)
	}
}
