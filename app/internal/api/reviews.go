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
	longestReview = 1000
	mostStars     = 5
)

type reviewView struct {
	ID        store.ID   `json:"id"`
	CreatedAt time.Time  `json:"createdAt"`
	Shop      store.ID   `json:"shop"`
	Author    authorView `json:"author"`
	Stars     int        `json:"stars"`
	Text      string     `json:"text"`
	Likes     int        `json:"likes"`
}

type authorView struct {
	ID   store.ID `json:"id"`
	Name string   `json:"name"`
}

func viewReview(r store.Review) reviewView {
	return reviewView{r.ID, r.CreatedAt, r.Shop, authorView{r.Author, r.AuthorName}, r.Stars, r.Text, r.Likes}
}

func decodeReview(b *body) (stars int, text string, err error) {
	stars = b.number("stars", 1, mostStars)
	text = b.lines("text", longestReview)
	return stars, text, b.end("the review")
}

func (a *api) addReview(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
	shop, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := readBody(r, largestText)
	if err != nil {
		return err
	}
	stars, text, err := decodeReview(body)
	if err != nil {
		return err
	}
	review, err := a.Store.AddReview(r.Context(), store.ReviewDraft{Shop: shop, Author: who.User, Stars: stars, Text: text})
	if errors.Is(err, store.ErrTaken) {
		return refuse(http.StatusConflict, "you have reviewed this shop already").as("already-reviewed")
	}
	if err != nil {
		return fmt.Errorf("add review: %w", err)
	}
	a.announceLater(r.Context(), store.Change{Shop: shop})
	return writeJSON(w, http.StatusCreated, viewReview(review))
}

// announceLater is for what must not be done again: the client could not repeat it if counting failed.
func (a *api) announceLater(ctx context.Context, change store.Change) {
	if err := a.Announce(ctx, change); err != nil {
		a.Logger.ErrorContext(ctx, "a shop is counted only at its next change", "shop", change.Shop, "error", err)
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
	reviews, err := a.Store.Reviews(r.Context(), shop, page.stored())
	if err != nil {
		return fmt.Errorf("list reviews: %w", err)
	}
	return writePage(a, w, r, page, reviews, func(review store.Review) store.ID { return review.ID }, viewReview)
}

// setLike answers an error if the change cannot be announced: the client may do it again, and only then it counts.
func (a *api) setLike(set func(ctx context.Context, review, user store.ID) (store.Change, error)) handler {
	return a.signedIn(func(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
		review, err := pathID(r)
		if err != nil {
			return err
		}
		change, err := set(r.Context(), review, who.User)
		if err != nil {
			return fmt.Errorf("set like: %w", err)
		}
		if err := a.Announce(r.Context(), change); err != nil {
			return fmt.Errorf("announce change: %w", err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}
