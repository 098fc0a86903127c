package store

import (
	"context"
	"crypto/sha256"
	"maps"
)

func (m *Memory) AddUser(ctx context.Context, draft UserDraft) (User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := Now()
	user := User{ID: m.ids.Next(now), CreatedAt: now, UserDraft: draft}
	return addOnce(ctx, m, user.ID, func() (User, error) {
		if _, taken := m.emails[draft.Email]; taken {
			return User{}, ErrTaken
		}
		if len(m.users) >= Capacity {
			return User{}, ErrFull
		}
		m.users = put(m.users, user.ID, user)
		m.emails = put(m.emails, draft.Email, user.ID)
		return user, nil
	})
}

func (m *Memory) UserByEmail(_ context.Context, email string) (User, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if user, found := m.users[m.emails[email]]; found {
		return user, nil
	}
	return User{}, ErrNotFound
}

func (m *Memory) User(_ context.Context, id ID) (User, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if user, found := m.users[id]; found {
		return user, nil
	}
	return User{}, ErrNotFound
}

func (m *Memory) SetPassword(_ context.Context, user User, hash string, keep ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isCurrent(user) {
		return ErrNotFound
	}
	user.PasswordHash = hash
	m.users[user.ID] = user
	m.endOtherSessions(user.ID, keep)
	return nil
}

func (m *Memory) DeleteUser(_ context.Context, user User) (changes []Change, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isCurrent(user) {
		return nil, ErrNotFound
	}
	m.deleteReviews(func(review Review) bool {
		if review.Author == user.ID {
			changes = append(changes, Change{Shop: review.Shop})
			return true
		}
		return false
	})
	maps.DeleteFunc(m.likes, func(given like, _ bool) bool {
		if i, found := m.findReview(given.review); found && given.user == user.ID {
			changes = append(changes, Change{m.reviews[i].Shop, given.review})
		}
		return given.user == user.ID
	})
	for i := range m.shops {
		if m.shops[i].Creator == user.ID {
			m.shops[i].Creator = ID{}
		}
	}
	m.endOtherSessions(user.ID, ID{})
	maps.DeleteFunc(m.keys, func(_ [sha256.Size]byte, stored storedKey) bool { return stored.user == user.ID })
	delete(m.emails, user.Email)
	delete(m.users, user.ID)
	return changes, nil
}

// exists reports whether there is a user with this ID.
func (m *Memory) exists(user ID) bool {
	_, found := m.users[user]
	return found
}
