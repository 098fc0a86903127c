package storetest

import (
	"fmt"
	"slices"

	"slipway/app/internal/store"
)

func pagesOfShops(s fixture) {
	var want []string
	for number := range 20 {
		want = append([]string{fmt.Sprint(number)}, want...)
		s.shop(fmt.Sprint(number))
	}
	var got []string
	for before := (store.ID{}); ; {
		page := must[[]store.Shop](s.t)(s.Shops(s.t.Context(), "", store.Page{Before: before, Limit: 7}))
		if len(page) == 0 {
			break
		}
		got = append(got, names(page, shopName)...)
		before = page[len(page)-1].ID
		s.shop("added between pages")
	}
	s.wantNames(got, want...)
}

func previousPages(s fixture) {
	ada := s.user("ada")
	var shops, reviews []store.ID
	for number := range 5 {
		shops = append(shops, s.shop(fmt.Sprint("wanted ", number)))
		s.shop("other")
		reviews = append(reviews, s.review(shops[0], s.user(fmt.Sprint(number)), 3))
		s.review(s.shop("other"), ada, 3)
	}
	for _, test := range []struct {
		after int
		limit int
		want  []int
	}{{0, 2, []int{2, 1}}, {0, 10, []int{4, 3, 2, 1}}, {3, 2, []int{4}}, {4, 2, nil}} {
		var wantShops, wantReviews []store.ID
		for _, number := range test.want {
			wantShops, wantReviews = append(wantShops, shops[number]), append(wantReviews, reviews[number])
		}
		page := must[[]store.Shop](s.t)(s.Shops(s.t.Context(), "wanted", store.Page{After: shops[test.after], Limit: test.limit}))
		if got := ids(page, func(shop store.Shop) store.ID { return shop.ID }); !slices.Equal(got, wantShops) {
			s.t.Errorf("%+v: got %v, want %v", test, got, wantShops)
		}
		written := must[[]store.Review](s.t)(s.Reviews(s.t.Context(), shops[0], store.Page{After: reviews[test.after], Limit: test.limit}))
		if got := ids(written, func(review store.Review) store.ID { return review.ID }); !slices.Equal(got, wantReviews) {
			s.t.Errorf("%+v: got %v, want %v", test, got, wantReviews)
		}
	}
}

func ids[T any](all []T, id func(T) store.ID) (result []store.ID) {
	for _, item := range all {
		result = append(result, id(item))
	}
	return result
}

func pagesOfReviews(s fixture) {
	shop, other := s.shop("x"), s.shop("other")
	var want, got []store.ID
	for number := range 5 {
		author := s.user(fmt.Sprint(number))
		want = append([]store.ID{s.review(shop, author, 1+number)}, want...)
		s.review(other, author, 1)
	}
	for before := (store.ID{}); ; {
		page := must[[]store.Review](s.t)(s.Reviews(s.t.Context(), shop, store.Page{Before: before, Limit: 2}))
		if len(page) == 0 {
			break
		}
		for _, review := range page {
			got = append(got, review.ID)
		}
		before = got[len(got)-1]
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("got %v, want %v", got, want)
	}
	newest := must[[]store.Review](s.t)(s.Reviews(s.t.Context(), shop, store.Page{Limit: 1}))[0]
	if newest.AuthorName != "4" || newest.Stars != 5 || newest.Text != "größer\n<b>" || newest.Shop != shop || newest.CreatedAt.IsZero() {
		s.t.Errorf("got %+v", newest)
	}
	_, err := s.Reviews(s.t.Context(), store.ID{1}, store.Page{Limit: 1})
	s.wantErr(err, store.ErrNotFound)
}
