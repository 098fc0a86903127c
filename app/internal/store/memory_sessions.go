package store

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

func (m *Memory) AddSession(_ context.Context, user User, hash SecretHash, expiresAt time.Time) (Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isCurrent(user) {
		return Session{}, ErrNotFound
	}
	now := Now()
	if len(m.sessions) >= Capacity {
		m.deleteExpiredSessions(now)
	}
	if len(m.sessions) >= Capacity {
		return Session{}, ErrFull
	}
	session := Session{ID: m.ids.Next(now), User: user.ID, Hash: hash, ExpiresAt: expiresAt}
	m.sessions = put(m.sessions, session.ID, session)
	sessions := m.sessionsOf(user.ID, now)
	for _, excess := range sessions[min(SessionsPerUser, len(sessions)):] {
		delete(m.sessions, excess.ID)
	}
	return session, nil
}

// isCurrent reports whether the user still exists, and with the same password.
func (m *Memory) isCurrent(user User) bool {
	stored, exists := m.users[user.ID]
	return exists && stored.PasswordHash == user.PasswordHash
}

func (m *Memory) deleteExpiredSessions(now time.Time) {
	maps.DeleteFunc(m.sessions, func(_ ID, session Session) bool { return !now.Before(session.ExpiresAt) })
}

func (m *Memory) DeleteExpiredSessions(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deleteExpiredSessions(Now())
	return nil
}

func (m *Memory) Sessions(_ context.Context, user ID) ([]Session, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.sessionsOf(user, Now()), nil
}

// sessionsOf returns the unexpired sessions of a user, the most recently used one first.
func (m *Memory) sessionsOf(user ID, now time.Time) (sessions []Session) {
	for _, session := range m.sessions {
		if session.User == user && now.Before(session.ExpiresAt) {
			sessions = append(sessions, session)
		}
	}
	slices.SortFunc(sessions, func(a, b Session) int {
		return cmp.Or(b.ExpiresAt.Compare(a.ExpiresAt), bytes.Compare(b.ID[:], a.ID[:]))
	})
	return sessions
}

func (m *Memory) RenewSession(_ context.Context, id ID, current, next SecretHash, expiresAt time.Time) (Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	session, found := m.sessions[id]
	if !found {
		return Session{}, ErrNotFound
	}
	now := Now()
	switch session.Renewal(current, now) {
	case Ended:
		delete(m.sessions, id)
		return Session{}, ErrNotFound
	case Renewed:
		session.PreviousHash, session.Hash, session.RenewedAt, session.ExpiresAt = session.Hash, next, now, expiresAt
		m.sessions[id] = session
	}
	return session, nil
}

func (m *Memory) EndSession(_ context.Context, user, id ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if session, found := m.sessions[id]; !found || session.User != user {
		return ErrNotFound
	}
	delete(m.sessions, id)
	return nil
}

func (m *Memory) EndOtherSessions(_ context.Context, user, keep ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endOtherSessions(user, keep)
	return nil
}

func (m *Memory) endOtherSessions(user, keep ID) {
	maps.DeleteFunc(m.sessions, func(id ID, session Session) bool { return session.User == user && id != keep })
}
