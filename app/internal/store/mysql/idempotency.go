package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"slipway/app/internal/store"
)

// errKeyKnown ends a transaction that would add for the second time.
var errKeyKnown = errors.New("something was added for this idempotency key")

// add runs a transaction that inserts what added points to, for this user. With an idempotency key the key is stored in the
// same transaction, so that both are there or none: whoever got no answer may repeat the request.
func add[T any](ctx context.Context, s *Store, user store.ID, added *T, insert transaction) (T, error) {
	key, given := store.IdempotencyKeyOf(ctx)
	if !given {
		err := s.call(ctx, insert)
		return *added, err
	}
	err := s.call(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := addKey(ctx, tx, key); err != nil {
			return err
		}
		if err := insert(ctx, tx); err != nil {
			return err
		}
		result, err := json.Marshal(*added)
		if err != nil {
			return err
		}
		// The user is set last, because a sign-up adds the key before its user.
		_, err = tx.ExecContext(ctx, "UPDATE idempotency_keys SET result = ?, user_id = ? WHERE id = ?", string(result), user[:], key.Key[:])
		return err
	})
	if errors.Is(err, errKeyKnown) {
		return addedBefore[T](ctx, s, key)
	}
	return *added, err
}

// addRow is add for a single statement, which needs no transaction where no key is stored with it.
func addRow[T any](ctx context.Context, s *Store, user store.ID, added *T, statement string, args ...any) (T, error) {
	if _, given := store.IdempotencyKeyOf(ctx); !given {
		return *added, s.exec(ctx, statement, args...)
	}
	return add(ctx, s, user, added, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
}

// addKey waits for another transaction with the same key. If that is not done in time, it is still running.
func addKey(ctx context.Context, tx *sql.Tx, key store.IdempotencyKey) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO idempotency_keys (id, request, result, created_at) VALUES (?, ?, '', UTC_TIMESTAMP(3))",
		key.Key[:], key.Request[:])
	switch code := number(err); {
	case code == duplicate:
		return errKeyKnown
	case interrupted[code] && code != deadlock:
		return fmt.Errorf("%w: %w", store.ErrKeyInUse, err)
	}
	return err
}

func addedBefore[T any](ctx context.Context, s *Store, key store.IdempotencyKey) (added T, err error) {
	type record struct{ request, result []byte }
	scan := func(r row) (found record, err error) { return found, r.Scan(&found.request, &found.result) }
	found, err := first(query(ctx, s, scan, "SELECT request, result FROM idempotency_keys WHERE id = ?", key.Key[:]))
	switch {
	case errors.Is(err, store.ErrNotFound): // it has just expired
		return added, store.ErrKeyInUse
	case err != nil:
		return added, err
	case !bytes.Equal(found.request, key.Request[:]):
		return added, store.ErrKeyReused
	}
	return added, json.Unmarshal(found.result, &added)
}

// RemoveExpiredKeys removes some of the idempotency keys whose time is over, and returns how many.
func (s *Store) RemoveExpiredKeys(ctx context.Context, limit int) (removed int64, err error) {
	err = s.call(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "DELETE FROM idempotency_keys WHERE created_at < UTC_TIMESTAMP(3) - INTERVAL ? SECOND LIMIT ?",
			store.IdempotencyLifetime.Seconds(), limit)
		if err != nil {
			return err
		}
		removed, err = result.RowsAffected()
		return err
	})
	return removed, err
}
