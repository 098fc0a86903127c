package storetest

import (
	"fmt"

	"slipway/app/internal/store"
)

func oneReviewPerShop(s fixture) {
	shop, ada := s.shop("x"), s.user("ada")
	s.review(shop, ada, 4)
	_, err := s.AddReview(s.t.Context(), store.ReviewDraft{Shop: shop, Author: ada, Stars: 1})
	s.wantErr(err, store.ErrTaken)
	s.review(s.shop("another"), ada, 1)
	_, err = s.AddReview(s.t.Context(), store.ReviewDraft{Shop: store.ID{1}, Author: ada, Stars: 1})
	s.wantErr(err, store.ErrNotFound)
	s.recount(store.Change{Shop: shop})
	if got := s.rating(shop); got != (store.Rating{Reviews: 1, Stars: 4}) {
		s.t.Errorf("got %+v", got)
	}
}

func (s fixture) likesOf(shop store.ID) int {
	s.t.Helper()
	return must[[]store.Review](s.t)(s.Reviews(s.t.Context(), shop, store.Page{Limit: 1}))[0].Likes
}

func likeTwice(s fixture) {
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
	s.wantErr(err, store.ErrNotFound)
	_, err = s.Unlike(s.t.Context(), store.ID{1}, ada)
	s.wantErr(err, store.ErrNotFound)
}

func concurrentLikes(s fixture) {
	shop := s.shop("x")
	review := s.review(shop, s.user("author"), 4)
	const clients, perClient = 10, 10
	concurrently(clients, func(client int) {
		for number := range perClient {
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
	if got, sum := s.likesOf(shop), s.rating(shop).Likes; got != clients*perClient || sum != clients*perClient {
		s.t.Errorf("%d and %d likes, want %d", got, sum, clients*perClient)
	}
}

func recountTwice(s fixture) {
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
