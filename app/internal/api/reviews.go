package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"slipway/app/internal/auth"
	"slipway/app/internal/store"
)

const (
	maxReviewText = 1000
	maxStars      = 5
)

type reviewView struct {
	ID        store.ID   `json:"id"`
	CreatedAt time.Time  `json:"createdAt"`
	Shop      store.ID   `json:"shop"`
	Author    authorView `json:"author"`
	Stars     int        `json:"stars"`
	Text      string     `json:"text"`
	Likes     int        `json:"likes"`
	// nil if not logged in
	Mine      *bool `json:"mine,omitempty"`
	LikedByMe *bool `json:"likedByMe,omitempty"`
}

type authorView struct {
	ID   store.ID `json:"id"`
	Name string   `json:"name"`
}

// viewReviews returns a function that converts these reviews for this user, or for a client that is not logged in.
func (a *api) viewReviews(ctx context.Context, viewer store.ID, reviews ...store.Review) (func(store.Review) reviewView, error) {
	var liked map[store.ID]bool
	if viewer != (store.ID{}) {
		var err error
		ids := views(reviews, func(review store.Review) store.ID { return review.ID })
		if liked, err = a.Store.Liked(ctx, viewer, ids); err != nil {
			return nil, fmt.Errorf("find likes: %w", err)
		}
	}
	return func(r store.Review) reviewView {
		return reviewView{
			r.ID, r.CreatedAt, r.Shop, authorView{r.Author, r.AuthorName}, r.Stars, r.Text, r.Likes,
			ifLoggedIn(viewer, r.Author == viewer), ifLoggedIn(viewer, liked[r.ID]),
		}
	}, nil
}

func (a *api) writeReview(w http.ResponseWriter, r *http.Request, status int, viewer store.ID, review store.Review) error {
	view, err := a.viewReviews(r.Context(), viewer, review)
	if err != nil {
		return err
	}
	return writeJSON(w, status, view(review))
}

func decodeReview(b *body) (stars int, text string, err error) {
	stars = b.number("stars", 1, maxStars)
	text = b.lines("text", maxReviewText)
	return stars, text, b.end("the review")
}

func (a *api) addReview(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	shop, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := readBody(r, maxTextBody)
	if err != nil {
		return err
	}
	stars, text, err := decodeReview(body)
	if err != nil {
		return err
	}
	review, err := a.Store.AddReview(r.Context(), store.ReviewDraft{Shop: shop, Author: identity.User, Stars: stars, Text: text})
	if errors.Is(err, store.ErrTaken) {
		return refuse(http.StatusConflict, "you have reviewed this shop already").as("already-reviewed")
	}
	if err != nil {
		return fmt.Errorf("add review: %w", err)
	}
	a.announce(r.Context(), store.Change{Shop: shop})
	return a.writeReview(w, r, http.StatusCreated, identity.User, review)
}

func (a *api) getReview(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	review, err := a.Store.Review(r.Context(), id)
	if err != nil {
		return fmt.Errorf("get review: %w", err)
	}
	return a.writeReview(w, r, http.StatusOK, a.viewer(r), review)
}

func (a *api) getOwnReview(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	shop, err := pathID(r)
	if err != nil {
		return err
	}
	review, err := a.Store.ReviewBy(r.Context(), shop, identity.User)
	if err != nil {
		return fmt.Errorf("get own review: %w", err)
	}
	return a.writeReview(w, r, http.StatusOK, identity.User, review)
}

func (a *api) updateReview(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := readBody(r, maxTextBody)
	if err != nil {
		return err
	}
	stars, text, err := decodeReview(body)
	if err != nil {
		return err
	}
	review, err := a.Store.UpdateReview(r.Context(), id, identity.User, stars, text)
	if err != nil {
		return fmt.Errorf("update review: %w", err)
	}
	a.announce(r.Context(), store.Change{Shop: review.Shop})
	return a.writeReview(w, r, http.StatusOK, identity.User, review)
}

func (a *api) deleteReview(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	change, err := a.Store.DeleteReview(r.Context(), id, identity.User)
	if err != nil {
		return fmt.Errorf("delete review: %w", err)
	}
	a.announce(r.Context(), change)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// announce triggers a recount. If that fails, the client gets no error: the change is stored, and the store makes the
// recount due later.
func (a *api) announce(ctx context.Context, change store.Change) {
	if err := a.Announce(ctx, change); err != nil {
		a.Logger.WarnContext(ctx, "a recount is postponed", "shop", change.Shop, "review", change.Review, "error", err)
	}
}

func (a *api) listReviews(w http.ResponseWriter, r *http.Request) error {
	shop, err := pathID(r)
	if err != nil {
		return err
	}
	page, err := a.readPage(r.URL.Query())
	if err != nil {
		return err
	}
	reviews, err := a.Store.Reviews(r.Context(), shop, page.query())
	if err != nil {
		return fmt.Errorf("list reviews: %w", err)
	}
	view, err := a.viewReviews(r.Context(), a.viewer(r), reviews...)
	if err != nil {
		return err
	}
	return writePage(a, w, r, page, reviews, func(review store.Review) store.ID { return review.ID }, view)
}

// setLike returns a handler that adds or removes a like with set.
func (a *api) setLike(set func(ctx context.Context, review, user store.ID) (store.Change, error)) handler {
	return a.signedIn(func(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
		review, err := pathID(r)
		if err != nil {
			return err
		}
		change, err := set(r.Context(), review, identity.User)
		if err != nil {
			return fmt.Errorf("set like: %w", err)
		}
		a.announce(r.Context(), change)
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}
