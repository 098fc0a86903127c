package mysql

import (
	"context"

	"slipway/app/internal/store"
)

const userColumns = "id, created_at, email, name, password_hash"

func scanUser(r row) (user store.User, err error) {
	return user, r.Scan((*key)(&user.ID), &user.CreatedAt, &user.Email, &user.Name, &user.PasswordHash)
}

func (s *Store) AddUser(ctx context.Context, draft store.UserDraft) (store.User, error) {
	now := store.Now()
	user := store.User{ID: s.ids.Next(now), CreatedAt: now, UserDraft: draft}
	return user, s.exec(ctx, "INSERT INTO users ("+userColumns+") VALUES (?, ?, ?, ?, ?)",
		user.ID[:], now, draft.Email, draft.Name, draft.PasswordHash)
}

func (s *Store) UserByEmail(ctx context.Context, email string) (store.User, error) {
	return first(query(ctx, s, scanUser, "SELECT "+userColumns+" FROM users WHERE email = ?", email))
}
