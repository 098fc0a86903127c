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

// errKeyExists ends a transaction that would add something for the second time.
var errKeyExists = errors.New("the idempotency key exists")

// add runs a transaction that inserts what added points to, for this user. It stores an idempotency key in the same
// transaction, so that either both exist or neither: a client that got no response may repeat the request.
func add[T any](ctx context.Context, s *Store, user store.ID, added *T, insert transaction) (T, error) {
	key, ok := store.IdempotencyKeyOf(ctx)
	if !ok {
		err := s.transact(ctx, insert)
		return *added, err
	}
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
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
	if errors.Is(err, errKeyExists) {
		return readAdded[T](ctx, s, key)
	}
	return *added, err
}

// addRow does the same as add with a single statement, which needs no transaction unless a key is stored with it.
func addRow[T any](ctx context.Context, s *Store, user store.ID, added *T, statement string, args ...any) (T, error) {
	if _, ok := store.IdempotencyKeyOf(ctx); !ok {
		return *added, s.exec(ctx, statement, args...)
	}
	return add(ctx, s, user, added, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
}

// addKey inserts the key. It waits for another transaction with the same key, and returns store.ErrKeyInUse if that takes
// too long.
func addKey(ctx context.Context, tx *sql.Tx, key store.IdempotencyKey) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO idempotency_keys (id, request, result, created_at) VALUES (?, ?, '', UTC_TIMESTAMP(3))",
		key.Key[:], key.Request[:])
	switch code := number(err); {
	case code == duplicate:
		return errKeyExists
	case interrupted[code] && code != deadlock:
		return fmt.Errorf("%w: %w", store.ErrKeyInUse, err)
	}
	return err
}

// readAdded returns what was added for the key.
func readAdded[T any](ctx context.Context, s *Store, key store.IdempotencyKey) (added T, err error) {
	type record struct{ request, result []byte }
	scan := func(r row) (stored record, err error) { return stored, r.Scan(&stored.request, &stored.result) }
	stored, err := first(query(ctx, s, scan, "SELECT request, result FROM idempotency_keys WHERE id = ?", key.Key[:]))
	switch {
	case errors.Is(err, store.ErrNotFound): // the key has just expired
		return added, store.ErrKeyInUse
	case err != nil:
		return added, err
	case !bytes.Equal(stored.request, key.Request[:]):
		return added, store.ErrKeyReused
	}
	return added, json.Unmarshal(stored.result, &added)
}

// RemoveExpiredKeys removes up to limit expired idempotency keys, and returns how many it removed.
func (s *Store) RemoveExpiredKeys(ctx context.Context, limit int) (removed int64, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
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
