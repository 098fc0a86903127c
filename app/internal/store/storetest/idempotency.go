package storetest

import (
	"context"
	"sync"

	"slipway/app/internal/store"
)

// keyed returns a context with an idempotency key.
func (s fixture) keyed(key, request byte) context.Context {
	return store.WithIdempotencyKey(s.t.Context(), func() store.IdempotencyKey {
		return store.IdempotencyKey{Key: [32]byte{key}, Request: [32]byte{request}}
	})
}

func addOnce(s fixture) {
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
	s.wantErr(err, store.ErrKeyReused)
	if other := must[store.Shop](s.t)(s.AddShop(s.keyed(4, 1), ada.ID, store.ShopDraft{Name: "x"})); other.ID == shop.ID {
		s.t.Error("another key added nothing")
	}
}

func addAfterFailure(s fixture) {
	_, err := s.AddReview(s.keyed(1, 1), store.ReviewDraft{Shop: store.ID{1}, Author: s.creator, Stars: 4})
	s.wantErr(err, store.ErrNotFound)
	must[store.Review](s.t)(s.AddReview(s.keyed(1, 1), store.ReviewDraft{Shop: s.shop("x"), Author: s.creator, Stars: 4}))
}

func addOnceConcurrently(s fixture) {
	var mu sync.Mutex
	ids := map[store.ID]int{}
	concurrently(20, func(int) {
		shop, err := s.AddShop(s.keyed(1, 1), s.creator, store.ShopDraft{Name: "x"})
		if err != nil {
			s.t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		ids[shop.ID]++
	})
	if shops := must[[]store.Shop](s.t)(s.Shops(s.t.Context(), "", store.Page{Limit: 30})); len(shops) != 1 || len(ids) != 1 {
		s.t.Errorf("there are %d shops, and %d were returned", len(shops), len(ids))
	}
}

func deletedKeys(s fixture) {
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
		s.t.Errorf("the key of another user was deleted: got %+v, then %+v", kept, again)
	}
}
