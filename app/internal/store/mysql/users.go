package mysql

import (
	"context"
	"database/sql"

	"slipway/app/internal/store"
)

const userColumns = "id, created_at, email, name, password_hash"

func scanUser(r row) (user store.User, err error) {
	return user, r.Scan((*key)(&user.ID), &user.CreatedAt, &user.Email, &user.Name, &user.PasswordHash)
}

func (s *Store) AddUser(ctx context.Context, draft store.UserDraft) (store.User, error) {
	now := store.Now()
	user := store.User{ID: s.ids.Next(now), CreatedAt: now, UserDraft: draft}
	return addRow(ctx, s, user.ID, &user, "INSERT INTO users ("+userColumns+") VALUES (?, ?, ?, ?, ?)",
		user.ID[:], now, draft.Email, draft.Name, draft.PasswordHash)
}

func (s *Store) UserByEmail(ctx context.Context, email string) (store.User, error) {
	return first(query(ctx, s, scanUser, "SELECT "+userColumns+" FROM users WHERE email = ?", email))
}

func (s *Store) User(ctx context.Context, id store.ID) (store.User, error) {
	return first(query(ctx, s, scanUser, "SELECT "+userColumns+" FROM users WHERE id = ?", id[:]))
}

func (s *Store) SetPassword(ctx context.Context, user store.User, hash string, keep store.ID) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := lockUser(ctx, tx, user); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE users SET password_hash = ? WHERE id = ?", hash, user.ID[:]); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, endOtherSessions, user.ID[:], keep[:])
		return err
	})
}

// DeleteUser locks the user, so that they add nothing during the deletion. Foreign keys delete their sessions, likes and
// idempotency keys.
func (s *Store) DeleteUser(ctx context.Context, user store.User) (changes []store.Change, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := lockUser(ctx, tx, user); err != nil {
			return err
		}
		if changes, err = changesByDeletion(ctx, tx, user.ID); err != nil {
			return err
		}
		for _, statement := range []string{
			"DELETE FROM reviews WHERE author_id = ?",
			"UPDATE shops SET creator_id = NULL WHERE creator_id = ?",
			"DELETE FROM users WHERE id = ?",
		} {
			if _, err := tx.ExecContext(ctx, statement, user.ID[:]); err != nil {
				return err
			}
		}
		for _, change := range changes {
			if err := addRecount(ctx, tx, change); err != nil {
				return err
			}
		}
		return nil
	})
	return changes, err
}

// changesByDeletion returns the shops that the user has reviewed, and the reviews of others that they like.
func changesByDeletion(ctx context.Context, tx *sql.Tx, user store.ID) (changes []store.Change, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT shop_id, NULL FROM reviews WHERE author_id = ? UNION ALL
		SELECT r.shop_id, r.id FROM likes l JOIN reviews r ON r.id = l.review_id WHERE l.user_id = ? AND r.author_id <> ?`,
		user[:], user[:], user[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var change store.Change
		if err := rows.Scan((*key)(&change.Shop), (*optionalKey)(&change.Review)); err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, rows.Err()
}
