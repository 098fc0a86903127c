package mysql

import (
	"context"
	"database/sql"
	"time"

	"slipway/app/internal/store"
)

const sessionColumns = "id, user_id, hash, expires_at, previous_hash, renewed_at"

func scanSession(r row) (session store.Session, err error) {
	var hash, previous []byte
	var renewed sql.NullTime
	err = r.Scan((*key)(&session.ID), (*key)(&session.User), &hash, &session.ExpiresAt, &previous, &renewed)
	copy(session.Hash[:], hash)
	copy(session.PreviousHash[:], previous)
	session.RenewedAt = renewed.Time
	return session, err
}

// AddSession forgets the user's sessions that are over: nothing else does.
func (s *Store) AddSession(ctx context.Context, user store.ID, hash store.SecretHash, expiresAt time.Time) (store.Session, error) {
	now := store.Now()
	session := store.Session{ID: s.ids.Next(now), User: user, Hash: hash, ExpiresAt: expiresAt}
	return session, s.call(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM sessions WHERE user_id = ? AND expires_at <= ?", user[:], now); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO sessions (id, user_id, hash, expires_at) VALUES (?, ?, ?, ?)",
			session.ID[:], user[:], hash[:], expiresAt)
		return err
	})
}

// RenewSession locks the session: of two renewals at the same time the later one sees the hash of the earlier one.
func (s *Store) RenewSession(ctx context.Context, id store.ID, current, next store.SecretHash, expiresAt time.Time) (session store.Session, err error) {
	var renewal store.Renewal
	err = s.call(ctx, func(ctx context.Context, tx *sql.Tx) error {
		session, err = scanSession(tx.QueryRowContext(ctx, "SELECT "+sessionColumns+" FROM sessions WHERE id = ? FOR UPDATE", id[:]))
		if err != nil {
			return err
		}
		now := store.Now()
		renewal = session.Renewal(current, now)
		switch renewal {
		case store.Ended:
			_, err = tx.ExecContext(ctx, "DELETE FROM sessions WHERE id = ?", id[:])
		case store.Renewed:
			session.PreviousHash, session.Hash, session.RenewedAt, session.ExpiresAt = session.Hash, next, now, expiresAt
			_, err = tx.ExecContext(ctx, "UPDATE sessions SET previous_hash = hash, hash = ?, renewed_at = ?, expires_at = ? WHERE id = ?",
				next[:], now, expiresAt, id[:])
		}
		return err
	})
	if err == nil && renewal == store.Ended {
		err = store.ErrNotFound
	}
	return session, err
}

func (s *Store) EndSession(ctx context.Context, id store.ID) error {
	return s.exec(ctx, "DELETE FROM sessions WHERE id = ?", id[:])
}
