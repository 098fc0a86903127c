package mysql

import (
	"context"
	"database/sql"
	"errors"

	"slipway/app/internal/store"
)

// Recount locks the review, then its shop: of two counts at the same time the later one sees what the earlier one saw.
func (s *Store) Recount(ctx context.Context, change store.Change) error {
	return s.call(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := recountReview(ctx, tx, change.Review); err != nil {
			return err
		}
		return recountShop(ctx, tx, change.Shop)
	})
}

func recountReview(ctx context.Context, tx *sql.Tx, review store.ID) error {
	if there, err := lock(ctx, tx, "reviews", review); !there {
		return err
	}
	var likes int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM likes WHERE review_id = ?", review[:]).Scan(&likes); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE reviews SET likes = ? WHERE id = ?", likes, review[:])
	return err
}

func recountShop(ctx context.Context, tx *sql.Tx, shop store.ID) error {
	if there, err := lock(ctx, tx, "shops", shop); !there {
		return err
	}
	var r store.Rating
	err := tx.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM(stars), 0), COALESCE(SUM(likes), 0) FROM reviews WHERE shop_id = ?", shop[:]).
		Scan(&r.Reviews, &r.Stars, &r.Likes)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE shops SET reviews = ?, stars = ?, likes = ?, score = ? WHERE id = ?",
		r.Reviews, r.Stars, r.Likes, r.Score(), shop[:])
	return err
}

// lock is a statement of its own: the next one sees all that was committed before the lock was got.
func lock(ctx context.Context, tx *sql.Tx, table string, id store.ID) (there bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT TRUE FROM "+table+" WHERE id = ? FOR UPDATE", id[:]).Scan(&there)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return there, err
}
