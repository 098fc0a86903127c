package storetest

import (
	"slipway/app/internal/store"
)

func changePassword(s fixture) {
	ada, bob := s.member("ada"), s.member("bob")
	s.login(ada, inAnHour())
	kept, other := s.login(ada, inAnHour()), s.login(bob, inAnHour())
	stale := ada
	stale.PasswordHash = "old hash"
	s.wantErr(s.SetPassword(s.t.Context(), stale, "new hash", kept.ID), store.ErrNotFound)
	if got := must[store.User](s.t)(s.User(s.t.Context(), ada.ID)); got != ada {
		s.t.Errorf("got %+v, want %+v", got, ada)
	}
	s.wantErr(s.SetPassword(s.t.Context(), ada, "new hash", kept.ID), nil)
	s.wantSessions(ada.ID, kept)
	s.wantSessions(bob.ID, other)
	s.wantErr(errorOf(s.AddSession(s.t.Context(), ada, store.SecretHash{1}, inAnHour())), store.ErrNotFound)
	ada.PasswordHash = "new hash"
	if got := must[store.User](s.t)(s.UserByEmail(s.t.Context(), ada.Email)); got != ada {
		s.t.Errorf("got %+v, want %+v", got, ada)
	}
}

func deleteUser(s fixture) {
	ada, bob := s.member("ada"), s.member("bob")
	shop := must[store.Shop](s.t)(s.AddShop(s.t.Context(), ada.ID, store.ShopDraft{Name: "x"})).ID
	other := s.shop("y")
	own, others, elsewhere := s.review(shop, ada.ID, 1), s.review(shop, bob.ID, 5), s.review(other, ada.ID, 2)
	for _, given := range [][2]store.ID{{own, ada.ID}, {own, bob.ID}, {others, ada.ID}, {others, bob.ID}} {
		s.recount(must[store.Change](s.t)(s.Like(s.t.Context(), given[0], given[1])))
	}
	s.recount(store.Change{Shop: other})
	session := s.login(ada, inAnHour())

	stale := ada
	stale.PasswordHash = "old hash"
	s.wantErr(errorOf(s.DeleteUser(s.t.Context(), stale)), store.ErrNotFound)
	for _, change := range must[[]store.Change](s.t)(s.DeleteUser(s.t.Context(), ada)) {
		s.recount(change)
	}
	s.wantErr(errorOf(s.DeleteUser(s.t.Context(), ada)), store.ErrNotFound)
	for _, err := range []error{
		errorOf(s.User(s.t.Context(), ada.ID)), errorOf(s.UserByEmail(s.t.Context(), ada.Email)),
		errorOf(s.Review(s.t.Context(), own)), errorOf(s.Review(s.t.Context(), elsewhere)), errorOf(s.renew(session.ID, 1, 2)),
	} {
		s.wantErr(err, store.ErrNotFound)
	}
	if got := s.rating(shop); got != (store.Rating{Reviews: 1, Stars: 5, Likes: 1}) {
		s.t.Errorf("the shop has %+v", got)
	}
	if got := s.rating(other); got != (store.Rating{}) {
		s.t.Errorf("the other shop has %+v", got)
	}
	if got := must[store.Shop](s.t)(s.Shop(s.t.Context(), shop)); got.Name != "x" || got.Creator == bob.ID {
		s.t.Errorf("the shop is %+v", got)
	}
	s.wantErr(errorOf(s.UpdateShop(s.t.Context(), shop, bob.ID, store.ShopDraft{Name: "z"})), store.ErrNotOwner)
	s.user("ada") // the e-mail address is free again
}

func deletedUserAddsNothing(s fixture) {
	ada := s.member("ada")
	shop := s.shop("x")
	review := s.review(shop, s.user("bob"), 3)
	must[[]store.Change](s.t)(s.DeleteUser(s.t.Context(), ada))
	for _, err := range []error{
		errorOf(s.AddShop(s.t.Context(), ada.ID, store.ShopDraft{Name: "y"})),
		errorOf(s.AddReview(s.t.Context(), store.ReviewDraft{Shop: shop, Author: ada.ID, Stars: 1})),
		errorOf(s.Like(s.t.Context(), review, ada.ID)),
		errorOf(s.AddSession(s.t.Context(), ada, store.SecretHash{1}, inAnHour())),
	} {
		s.wantErr(err, store.ErrNotFound)
	}
}
