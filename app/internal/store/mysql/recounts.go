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
	// recountGrace is the time in which a change is usually counted, by whoever made it or read it from the queue.
	recountGrace = 15 * time.Second
	// A recount that failed is postponed, each time for twice as long.
	shortestPostponement = time.Minute
	longestPostponement  = time.Hour
)

// addRecount notes, in the transaction of a change, that it has to be counted: nothing that happens to this process, to
// Redis or to the server afterwards loses that. Each change has a row of its own, as one row per shop would have all that
// change it at the same time wait for each other.
func addRecount(ctx context.Context, tx *sql.Tx, change store.Change) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO recounts (shop_id, review_id, due_at) VALUES (?, ?, UTC_TIMESTAMP(3) + INTERVAL ? SECOND)",
		change.Shop[:], change.Review[:], recountGrace.Seconds())
	return err
}

// Overdue returns changes that should have been counted by now, and postpones them: no other replica gets them meanwhile,
// and one that cannot be counted is tried ever more seldom. Recount removes those that it counts.
func (s *Store) Overdue(ctx context.Context, limit int) (overdue []store.Overdue, err error) {
	err = s.call(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var rows []any
		rows, overdue, err = lockOverdue(ctx, tx, limit)
		if err != nil || len(rows) == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE recounts SET due_at = UTC_TIMESTAMP(3) + INTERVAL LEAST(? * POW(2, tries), ?) SECOND, tries = LEAST(tries + 1, 100)"+
			" WHERE id IN (?"+strings.Repeat(", ?", len(rows)-1)+")", append([]any{shortestPostponement.Seconds(), longestPostponement.Seconds()}, rows...)...)
		return err
	})
	return overdue, err
}

// lockOverdue returns the ids of rows, and each change in them once.
func lockOverdue(ctx context.Context, tx *sql.Tx, limit int) (ids []any, overdue []store.Overdue, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, shop_id, review_id, tries FROM recounts WHERE due_at <= UTC_TIMESTAMP(3) ORDER BY due_at LIMIT ? FOR UPDATE", limit)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	known := map[store.Change]bool{}
	for rows.Next() {
		var id uint64
		var each store.Overdue
		if err := rows.Scan(&id, (*key)(&each.Change.Shop), (*key)(&each.Change.Review), &each.Tries); err != nil {
			return nil, nil, err
		}
		ids = append(ids, id)
		if !known[each.Change] {
			known[each.Change] = true
			overdue = append(overdue, each)
		}
	}
	return ids, overdue, rows.Err()
}

// Recount locks the review, then its shop: of two counts at the same time the later one sees what the earlier one saw.
func (s *Store) Recount(ctx context.Context, change store.Change) error {
	return s.call(ctx, func(ctx context.Context, tx *sql.Tx) error {
		reviewThere, err := lock(ctx, tx, "reviews", change.Review)
		if err != nil {
			return err
		}
		shopThere, err := lock(ctx, tx, "shops", change.Shop)
		if err != nil {
			return err
		}
		// Before the counting: a change that is committed later keeps its row.
		if err := removeRecounts(ctx, tx, change); err != nil {
			return err
		}
		if reviewThere {
			err = recountReview(ctx, tx, change.Review)
		}
		if err == nil && shopThere {
			err = recountShop(ctx, tx, change.Shop)
		}
		return err
	})
}

func removeRecounts(ctx context.Context, tx *sql.Tx, change store.Change) error {
	none := store.ID{} // of changes of the shop only
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

// lock is a statement of its own: the next one sees all that was committed before the lock was got.
func lock(ctx context.Context, tx *sql.Tx, table string, id store.ID) (there bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT TRUE FROM "+table+" WHERE id = ? FOR UPDATE", id[:]).Scan(&there)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return there, err
}
