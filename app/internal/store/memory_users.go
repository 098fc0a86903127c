package store

import "context"

func (m *Memory) AddUser(_ context.Context, draft UserDraft) (User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.emails[draft.Email]; taken {
		return User{}, ErrTaken
	}
	if len(m.users) >= Capacity {
		return User{}, ErrFull
	}
	now := Now()
	user := User{ID: m.ids.Next(now), CreatedAt: now, UserDraft: draft}
	m.users = put(m.users, user.ID, user)
	m.emails = put(m.emails, draft.Email, user.ID)
	return user, nil
}

func (m *Memory) UserByEmail(_ context.Context, email string) (User, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if user, found := m.users[m.emails[email]]; found {
		return user, nil
	}
	return User{}, ErrNotFound
}
