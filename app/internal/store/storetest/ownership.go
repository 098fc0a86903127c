package storetest

import (
	"maps"

	"slipway/app/internal/store"
)

func changeShop(s fixture) {
	ada, bob := s.user("ada"), s.user("bob")
	added := must[store.Shop](s.t)(s.AddShop(s.t.Context(), ada, store.ShopDraft{Name: "Tea", City: "Wien", Description: "one"}))
	if added.Creator != ada {
		s.t.Errorf("added by %v, not %v", added.Creator, ada)
	}
	s.review(added.ID, bob, 4)
	s.recount(store.Change{Shop: added.ID})
	before := must[store.Shop](s.t)(s.Shop(s.t.Context(), added.ID))
	draft := store.ShopDraft{Name: "Coffee", City: "Graz", Description: "two"}
	_, err := s.UpdateShop(s.t.Context(), added.ID, bob, draft)
	s.wantErr(err, store.ErrNotOwner)
	_, err = s.UpdateShop(s.t.Context(), store.ID{1}, ada, draft)
	s.wantErr(err, store.ErrNotFound)
	if got := must[store.Shop](s.t)(s.Shop(s.t.Context(), added.ID)); got != before {
		s.t.Errorf("another user changed it to %+v", got)
	}

	want := before
	want.ShopDraft = draft
	for range 2 {
		if got := must[store.Shop](s.t)(s.UpdateShop(s.t.Context(), added.ID, ada, draft)); got != want {
			s.t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if got := must[store.Shop](s.t)(s.Shop(s.t.Context(), added.ID)); got != want {
		s.t.Errorf("got %+v, want %+v", got, want)
	}
	for text, found := range map[string][]string{"tea": nil, "wien": nil, "coffee": {"Coffee"}, "graz": {"Coffee"}} {
		s.wantNames(names(must[[]store.Shop](s.t)(s.Shops(s.t.Context(), text, store.Page{Limit: 10})), shopName), found...)
	}
}

func deleteShop(s fixture) {
	ada, bob := s.user("ada"), s.user("bob")
	add := func() store.ID {
		return must[store.Shop](s.t)(s.AddShop(s.t.Context(), ada, store.ShopDraft{Name: "x"})).ID
	}
	own, others := add(), add()
	review := s.review(own, ada, 5)
	must[store.Change](s.t)(s.Like(s.t.Context(), review, bob))
	s.review(others, ada, 5)
	s.review(others, bob, 5)
	must[store.Shop](s.t)(s.Shop(s.t.Context(), own))
	s.wantErr(s.DeleteShop(s.t.Context(), own, bob), store.ErrNotOwner)
	s.wantErr(s.DeleteShop(s.t.Context(), others, ada), store.ErrInUse)
	s.wantErr(s.DeleteShop(s.t.Context(), own, ada), nil)
	s.wantErr(s.DeleteShop(s.t.Context(), own, ada), store.ErrNotFound)
	s.wantErr(errorOf(s.Shop(s.t.Context(), own)), store.ErrNotFound)
	s.wantErr(errorOf(s.Review(s.t.Context(), review)), store.ErrNotFound)
	if got := must[[]store.Review](s.t)(s.Reviews(s.t.Context(), others, store.Page{Limit: 5})); len(got) != 2 {
		s.t.Errorf("the other shop has %+v", got)
	}
}

func changeReview(s fixture) {
	shop, ada, bob := s.shop("x"), s.user("ada"), s.user("bob")
	id := s.review(shop, ada, 4)
	s.recount(must[store.Change](s.t)(s.Like(s.t.Context(), id, bob)))
	want := must[store.Review](s.t)(s.Review(s.t.Context(), id))
	if got := must[store.Review](s.t)(s.ReviewBy(s.t.Context(), shop, ada)); got != want || got.ID != id || got.AuthorName != "ada" || got.Likes != 1 {
		s.t.Errorf("got %+v, want %+v", got, want)
	}
	s.wantErr(errorOf(s.ReviewBy(s.t.Context(), shop, bob)), store.ErrNotFound)
	s.wantErr(errorOf(s.Review(s.t.Context(), store.ID{1})), store.ErrNotFound)

	s.wantErr(errorOf(s.UpdateReview(s.t.Context(), id, bob, 1, "bad")), store.ErrNotOwner)
	s.wantErr(errorOf(s.UpdateReview(s.t.Context(), store.ID{1}, ada, 1, "bad")), store.ErrNotFound)
	want.Stars, want.Text = 2, "changed"
	for range 2 {
		if got := must[store.Review](s.t)(s.UpdateReview(s.t.Context(), id, ada, 2, "changed")); got != want {
			s.t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if got := must[store.Review](s.t)(s.Review(s.t.Context(), id)); got != want {
		s.t.Errorf("got %+v, want %+v", got, want)
	}
	s.recount(store.Change{Shop: shop})
	if got := s.rating(shop); got != (store.Rating{Reviews: 1, Stars: 2, Likes: 1}) {
		s.t.Errorf("rating %+v", got)
	}
}

func deleteReview(s fixture) {
	shop, ada, bob := s.shop("x"), s.user("ada"), s.user("bob")
	id := s.review(shop, ada, 4)
	s.recount(must[store.Change](s.t)(s.Like(s.t.Context(), id, bob)))
	s.wantErr(errorOf(s.DeleteReview(s.t.Context(), id, bob)), store.ErrNotOwner)
	change := must[store.Change](s.t)(s.DeleteReview(s.t.Context(), id, ada))
	s.recount(change)
	if got := s.rating(shop); got != (store.Rating{}) {
		s.t.Errorf("rating %+v after %+v", got, change)
	}
	s.wantErr(errorOf(s.DeleteReview(s.t.Context(), id, ada)), store.ErrNotFound)
	again := s.review(shop, ada, 3)
	s.recount(store.Change{Shop: shop, Review: again})
	if got := s.rating(shop); got != (store.Rating{Reviews: 1, Stars: 3}) {
		s.t.Errorf("rating %+v of a new review", got)
	}
}

func likedReviews(s fixture) {
	shop, ada, bob := s.shop("x"), s.user("ada"), s.user("bob")
	first, other := s.review(shop, ada, 4), s.review(shop, bob, 4)
	must[store.Change](s.t)(s.Like(s.t.Context(), first, bob))
	must[store.Change](s.t)(s.Like(s.t.Context(), other, ada))
	for _, test := range []struct {
		user    store.ID
		reviews []store.ID
		want    map[store.ID]bool
	}{
		{bob, []store.ID{first, other, {1}}, map[store.ID]bool{first: true}},
		{ada, []store.ID{first, other}, map[store.ID]bool{other: true}},
		{ada, []store.ID{first}, map[store.ID]bool{}},
		{ada, nil, map[store.ID]bool{}},
	} {
		if got := must[map[store.ID]bool](s.t)(s.Liked(s.t.Context(), test.user, test.reviews)); !maps.Equal(got, test.want) {
			s.t.Errorf("%v likes %v of %v, want %v", test.user, got, test.reviews, test.want)
		}
	}
}
