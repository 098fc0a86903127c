package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"strings"

	"slipway/app/internal/store"
)

func scanReview(r row) (review store.Review, err error) {
	return review, r.Scan((*key)(&review.ID), &review.CreatedAt, (*key)(&review.Shop), (*key)(&review.Author), &review.AuthorName,
		&review.Stars, &review.Text, &review.Likes)
}

func (s *Store) AddReview(ctx context.Context, draft store.ReviewDraft) (store.Review, error) {
	now := store.Now()
	review := store.Review{ID: s.ids.Next(now), CreatedAt: now, ReviewDraft: draft}
	return add(ctx, s, draft.Author, &review, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT name FROM users WHERE id = ?", draft.Author[:]).Scan(&review.AuthorName)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO reviews (id, created_at, shop_id, author_id, stars, text) VALUES (?, ?, ?, ?, ?, ?)",
			review.ID[:], now, draft.Shop[:], draft.Author[:], draft.Stars, draft.Text)
		if err != nil {
			return err
		}
		return addRecount(ctx, tx, store.Change{Shop: draft.Shop})
	})
}

func (s *Store) Reviews(ctx context.Context, shop store.ID, page store.Page) ([]store.Review, error) {
	reviews, err := queryPage(ctx, s, scanReview, page, selectReviews+" WHERE r.shop_id = ?", "r.id", shop[:])
	if err == nil && len(reviews) == 0 {
		_, err = s.Shop(ctx, shop)
	}
	return reviews, err
}

func (s *Store) Like(ctx context.Context, review, user store.ID) (store.Change, error) {
	// INSERT IGNORE would treat an unknown review like an existing like.
	return s.setLike(ctx, "INSERT INTO likes (review_id, user_id) VALUES (?, ?) ON DUPLICATE KEY UPDATE user_id = user_id", review, user)
}

func (s *Store) Unlike(ctx context.Context, review, user store.ID) (store.Change, error) {
	return s.setLike(ctx, "DELETE FROM likes WHERE review_id = ? AND user_id = ?", review, user)
}

// setLike runs a statement that adds or removes a like.
func (s *Store) setLike(ctx context.Context, statement string, review, user store.ID) (store.Change, error) {
	change := store.Change{Review: review}
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, "SELECT shop_id FROM reviews WHERE id = ?", review[:]).Scan((*key)(&change.Shop)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, statement, review[:], user[:]); err != nil {
			return err
		}
		return addRecount(ctx, tx, change)
	})
	return change, err
}

const selectReviews = `SELECT r.id, r.created_at, r.shop_id, r.author_id, u.name, r.stars, r.text, r.likes
	FROM reviews r JOIN users u ON u.id = r.author_id`

func (s *Store) Review(ctx context.Context, id store.ID) (store.Review, error) {
	return first(query(ctx, s, scanReview, selectReviews+" WHERE r.id = ?", id[:]))
}

func (s *Store) ReviewBy(ctx context.Context, shop, author store.ID) (store.Review, error) {
	return first(query(ctx, s, scanReview, selectReviews+" WHERE r.shop_id = ? AND r.author_id = ?", shop[:], author[:]))
}

func (s *Store) UpdateReview(ctx context.Context, id, user store.ID, stars int, text string) (review store.Review, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if review, err = lockReviewOf(ctx, tx, id, user); err != nil {
			return err
		}
		review.Stars, review.Text = stars, text
		if _, err = tx.ExecContext(ctx, "UPDATE reviews SET stars = ?, text = ? WHERE id = ?", stars, text, id[:]); err != nil {
			return err
		}
		return addRecount(ctx, tx, store.Change{Shop: review.Shop})
	})
	return review, err
}

func (s *Store) DeleteReview(ctx context.Context, id, user store.ID) (change store.Change, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		review, err := lockReviewOf(ctx, tx, id, user)
		if err != nil {
			return err
		}
		change.Shop = review.Shop
		if _, err = tx.ExecContext(ctx, "DELETE FROM reviews WHERE id = ?", id[:]); err != nil {
			return err
		}
		return addRecount(ctx, tx, change)
	})
	return change, err
}

// lockReviewOf locks a review of this user, but not the user.
func lockReviewOf(ctx context.Context, tx *sql.Tx, id, user store.ID) (store.Review, error) {
	if exists, err := lock(ctx, tx, "reviews", id); err != nil || !exists {
		return store.Review{}, cmp.Or(err, sql.ErrNoRows)
	}
	review, err := scanReview(tx.QueryRowContext(ctx, selectReviews+" WHERE r.id = ?", id[:]))
	if err == nil && review.Author != user {
		err = store.ErrNotOwner
	}
	return review, err
}

func (s *Store) Liked(ctx context.Context, user store.ID, reviews []store.ID) (map[store.ID]bool, error) {
	liked := map[store.ID]bool{}
	if len(reviews) == 0 {
		return liked, nil
	}
	args := []any{user[:]}
	for _, review := range reviews {
		args = append(args, review[:])
	}
	scan := func(r row) (id store.ID, err error) { return id, r.Scan((*key)(&id)) }
	statement := "SELECT review_id FROM likes WHERE user_id = ? AND review_id IN (?" + strings.Repeat(", ?", len(reviews)-1) + ")"
	ids, err := query(ctx, s, scan, statement, args...)
	for _, id := range ids {
		liked[id] = true
	}
	return liked, err
}
