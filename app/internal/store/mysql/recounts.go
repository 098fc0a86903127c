package mysql

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"slipway/app/internal/store"
)

const (
	// recountGrace is how long a change may wait for its request or the queue to recount it, before it is overdue.
	recountGrace = 15 * time.Second
	// A failed recount is retried after a delay that doubles each time.
	minRetryDelay = time.Minute
	maxRetryDelay = time.Hour
)

// addRecount records, in the transaction of a change, that a recount is due, so that no failure of this process, Redis or
// the server can lose it. Each change has its own row, because concurrent changes of a shop would wait for each other on
// a shared row.
func addRecount(ctx context.Context, tx *sql.Tx, change store.Change) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO recounts (shop_id, review_id, due_at) VALUES (?, ?, UTC_TIMESTAMP(3) + INTERVAL ? SECOND)",
		change.Shop[:], change.Review[:], recountGrace.Seconds())
	return err
}

// Overdue returns changes that should have been recounted by now, and postpones them, so that no other replica gets them
// in the meantime and those that keep failing are tried less and less often. Recount removes what it has recounted.
func (s *Store) Overdue(ctx context.Context, limit int) (overdue []store.Overdue, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var rows []any
		rows, overdue, err = lockOverdue(ctx, tx, limit)
		if err != nil || len(rows) == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE recounts SET due_at = UTC_TIMESTAMP(3) + INTERVAL LEAST(? * POW(2, tries), ?) SECOND, tries = LEAST(tries + 1, 100)"+
			" WHERE id IN (?"+strings.Repeat(", ?", len(rows)-1)+")", append([]any{minRetryDelay.Seconds(), maxRetryDelay.Seconds()}, rows...)...)
		return err
	})
	return overdue, err
}

// lockOverdue locks overdue rows. It returns the IDs of the rows, and each change in them once.
func lockOverdue(ctx context.Context, tx *sql.Tx, limit int) (ids []any, overdue []store.Overdue, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, shop_id, review_id, tries FROM recounts WHERE due_at <= UTC_TIMESTAMP(3) ORDER BY due_at LIMIT ? FOR UPDATE", limit)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	seen := map[store.Change]bool{}
	for rows.Next() {
		var id uint64
		var change store.Overdue
		if err := rows.Scan(&id, (*key)(&change.Change.Shop), (*key)(&change.Change.Review), &change.Tries); err != nil {
			return nil, nil, err
		}
		ids = append(ids, id)
		if !seen[change.Change] {
			seen[change.Change] = true
			overdue = append(overdue, change)
		}
	}
	return ids, overdue, rows.Err()
}

// Recount locks the review and then its shop, so that of two concurrent recounts the later one sees everything that the
// earlier one saw.
func (s *Store) Recount(ctx context.Context, change store.Change) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		reviewExists, err := lock(ctx, tx, "reviews", change.Review)
		if err != nil {
			return err
		}
		shopExists, err := lock(ctx, tx, "shops", change.Shop)
		if err != nil {
			return err
		}
		// Remove the rows before counting: a change that is committed during the count keeps its row.
		if err := removeRecounts(ctx, tx, change); err != nil {
			return err
		}
		if reviewExists {
			err = recountReview(ctx, tx, change.Review)
		}
		if err == nil && shopExists {
			err = recountShop(ctx, tx, change.Shop)
		}
		return err
	})
}

func removeRecounts(ctx context.Context, tx *sql.Tx, change store.Change) error {
	none := store.ID{} // the review of changes that affect only the shop
	_, err := tx.ExecContext(ctx, "DELETE FROM recounts WHERE shop_id = ? AND review_id IN (?, ?)", change.Shop[:], change.Review[:], none[:])
	return err
}

func recountReview(ctx context.Context, tx *sql.Tx, review store.ID) error {
	var likes int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM likes WHERE review_id = ?", review[:]).Scan(&likes); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE reviews SET likes = ? WHERE id = ?", likes, review[:])
	return err
}

func recountShop(ctx context.Context, tx *sql.Tx, shop store.ID) error {
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

// lock locks a row, if it exists. It is a statement of its own, so that the next one sees all that was committed before
// the lock.
func lock(ctx context.Context, tx *sql.Tx, table string, id store.ID) (exists bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT TRUE FROM "+table+" WHERE id = ? FOR UPDATE", id[:]).Scan(&exists)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return exists, err
}
