package mysql

import (
	"context"
	"database/sql"
	"errors"
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

// AddSession locks the user, so that no login with the previous password commits after SetPassword, and concurrent logins
// do not count the same sessions.
func (s *Store) AddSession(ctx context.Context, user store.User, hash store.SecretHash, expiresAt time.Time) (store.Session, error) {
	session := store.Session{ID: s.ids.Next(store.Now()), User: user.ID, Hash: hash, ExpiresAt: expiresAt}
	return session, s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := lockUser(ctx, tx, user); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO sessions (id, user_id, hash, expires_at) VALUES (?, ?, ?, ?)",
			session.ID[:], user.ID[:], hash[:], expiresAt)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = ? AND id NOT IN (SELECT id FROM (
			SELECT id FROM sessions WHERE user_id = ? ORDER BY expires_at DESC, id DESC LIMIT ?) kept)`,
			user.ID[:], user.ID[:], store.SessionsPerUser)
		return err
	})
}

// lockUser locks a user. It returns sql.ErrNoRows if the user was deleted, or has another password by now.
func lockUser(ctx context.Context, tx *sql.Tx, user store.User) error {
	var exists bool
	return tx.QueryRowContext(ctx, "SELECT TRUE FROM users WHERE id = ? AND password_hash = ? FOR UPDATE", user.ID[:], user.PasswordHash).
		Scan(&exists)
}

func (s *Store) Sessions(ctx context.Context, user store.ID) ([]store.Session, error) {
	return query(ctx, s, scanSession, "SELECT "+sessionColumns+" FROM sessions WHERE user_id = ? AND expires_at > ? ORDER BY expires_at DESC, id DESC",
		user[:], store.Now())
}

// RenewSession locks the session, so that of two concurrent renewals the later one sees the hash of the earlier one.
func (s *Store) RenewSession(ctx context.Context, id store.ID, current, next store.SecretHash, expiresAt time.Time) (session store.Session, err error) {
	var renewal store.Renewal
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
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

func (s *Store) EndSession(ctx context.Context, user, id store.ID) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return deleteOne(ctx, tx, "DELETE FROM sessions WHERE user_id = ? AND id = ?", user[:], id[:])
	})
}

// deleteOne returns sql.ErrNoRows if the statement deletes nothing.
func deleteOne(ctx context.Context, tx *sql.Tx, statement string, args ...any) error {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	deleted, err := result.RowsAffected()
	if err == nil && deleted == 0 {
		err = sql.ErrNoRows
	}
	return err
}

const endOtherSessions = "DELETE FROM sessions WHERE user_id = ? AND id <> ?"

func (s *Store) EndOtherSessions(ctx context.Context, user, keep store.ID) error {
	return s.exec(ctx, endOtherSessions, user[:], keep[:])
}

// DeleteExpiredSessions deletes in batches, so that logins do not wait for the locks of a long statement.
func (s *Store) DeleteExpiredSessions(ctx context.Context) error {
	for {
		err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
			return deleteOne(ctx, tx, "DELETE FROM sessions WHERE expires_at <= ? LIMIT 1000", store.Now())
		})
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			return err
		}
	}
}
