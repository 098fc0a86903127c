package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"
	"unicode/utf8"

	"slipway/app/internal/auth"
	"slipway/app/internal/store"
)

const (
	maxDescription = 500
	maxSearch      = 100
)

type shopView struct {
	ID        store.ID  `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	store.ShopDraft
	Rating ratingView `json:"rating"`
	Mine   *bool      `json:"mine,omitempty"` // nil if not logged in
}

type ratingView struct {
	Average *float64 `json:"average"` // null without reviews
	Reviews int      `json:"reviews"`
	Likes   int      `json:"likes"`
}

// viewShop returns a function that converts shops for this user, or for a client that is not logged in.
func viewShop(viewer store.ID) func(store.Shop) shopView {
	return func(shop store.Shop) shopView {
		rating := ratingView{Reviews: shop.Rating.Reviews, Likes: shop.Rating.Likes}
		if average, ok := shop.Rating.Average(); ok {
			average = math.Round(average*100) / 100
			rating.Average = &average
		}
		return shopView{shop.ID, shop.CreatedAt, shop.ShopDraft, rating, ifLoggedIn(viewer, shop.Creator == viewer)}
	}
}

// ifLoggedIn returns the value, or nil if there is no viewer.
func ifLoggedIn(viewer store.ID, value bool) *bool {
	if viewer == (store.ID{}) {
		return nil
	}
	return &value
}

func decodeShop(b *body) (store.ShopDraft, error) {
	draft := store.ShopDraft{
		Name:        b.name("name", maxName),
		City:        b.line("city", maxName),
		Description: b.lines("description", maxDescription),
	}
	return draft, b.end("the shop")
}

func (a *api) addShop(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	body, err := readBody(r, maxTextBody)
	if err != nil {
		return err
	}
	draft, err := decodeShop(body)
	if err != nil {
		return err
	}
	shop, err := a.Store.AddShop(r.Context(), identity.User, draft)
	if errors.Is(err, store.ErrNotFound) {
		return accountDeleted()
	}
	if err != nil {
		return fmt.Errorf("add shop: %w", err)
	}
	w.Header().Set("Location", "/v1/shops/"+shop.ID.String())
	return writeJSON(w, http.StatusCreated, viewShop(identity.User)(shop))
}

// listShops lists shops whose name or city contains the text of `query`, or all shops without it.
func (a *api) listShops(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	text := query.Get("query")
	if utf8.RuneCountInString(text) > maxSearch || !utf8.ValidString(text) {
		return refuseQuery([]fieldError{{"query", fmt.Sprintf("must be UTF-8 of at most %d characters", maxSearch)}})
	}
	page, err := a.readPage(query)
	if err != nil {
		return err
	}
	shops, err := a.Store.Shops(r.Context(), text, page.query())
	if err != nil {
		return fmt.Errorf("list shops: %w", err)
	}
	return writePage(a, w, r, page, shops, func(shop store.Shop) store.ID { return shop.ID }, viewShop(a.viewer(r)))
}

func (a *api) getShop(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	shop, err := a.Store.Shop(r.Context(), id)
	if err != nil {
		return fmt.Errorf("get shop: %w", err)
	}
	return writeCacheable(w, r, viewShop(a.viewer(r))(shop))
}

func (a *api) updateShop(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := readBody(r, maxTextBody)
	if err != nil {
		return err
	}
	draft, err := decodeShop(body)
	if err != nil {
		return err
	}
	shop, err := a.Store.UpdateShop(r.Context(), id, identity.User, draft)
	if err != nil {
		return fmt.Errorf("update shop: %w", err)
	}
	return writeJSON(w, http.StatusOK, viewShop(identity.User)(shop))
}

func (a *api) deleteShop(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	err = a.Store.DeleteShop(r.Context(), id, identity.User)
	if errors.Is(err, store.ErrInUse) {
		return refuse(http.StatusConflict, "others have reviewed this shop: it can be changed, but not deleted").as("shop-has-reviews")
	}
	if err != nil {
		return fmt.Errorf("delete shop: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// pathID returns the ID in the path. An invalid one is treated as an unknown ID.
func pathID(r *http.Request) (store.ID, error) {
	id, err := store.ParseID(r.PathValue("id"))
	if err != nil {
		return store.ID{}, store.ErrNotFound
	}
	return id, nil
}

// listLeaders lists the best shops, without further pages.
func (a *api) listLeaders(w http.ResponseWriter, r *http.Request) error {
	limit, mistakes := a.readLimit(r.URL.Query())
	if err := refuseQuery(mistakes); err != nil {
		return err
	}
	shops, err := a.Store.Leaders(r.Context(), limit)
	if err != nil {
		return fmt.Errorf("list leaders: %w", err)
	}
	return writeCacheable(w, r, struct {
		Items []shopView `json:"items"`
	}{views(shops, viewShop(a.viewer(r)))})
}
