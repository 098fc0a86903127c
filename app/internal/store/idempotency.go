package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// IdempotencyKey lets a client repeat a request without adding something twice. While the store has the key, Add methods
// return what they added for it the first time, or one of the errors below.
type IdempotencyKey struct {
	Key     [sha256.Size]byte // hash of the client's key, the user and the route
	Request [sha256.Size]byte // hash of the request
}

// IdempotencyLifetime is how long a key is stored.
const IdempotencyLifetime = 24 * time.Hour

var (
	// ErrKeyReused is returned if the key was used for another request.
	ErrKeyReused = errors.New("the idempotency key was used for another request")
	// ErrKeyInUse is returned while the first request with this key is still running.
	ErrKeyInUse = errors.New("a request with this idempotency key is still running")
)

type idempotencyContextKey struct{}

// WithIdempotencyKey returns a context in which Add methods add something at most once for this key. They call key when
// they add, because the hash of a request is known only after its body has been read.
func WithIdempotencyKey(ctx context.Context, key func() IdempotencyKey) context.Context {
	return context.WithValue(ctx, idempotencyContextKey{}, key)
}

// IdempotencyKeyOf returns the key of the context, if it has one.
func IdempotencyKeyOf(ctx context.Context) (_ IdempotencyKey, ok bool) {
	if key, ok := ctx.Value(idempotencyContextKey{}).(func() IdempotencyKey); ok {
		return key(), true
	}
	return IdempotencyKey{}, false
}

// storedKey is a key in a Memory, with what was added for it.
type storedKey struct {
	user      ID
	request   [sha256.Size]byte
	added     any
	createdAt time.Time
}

// addOnce adds something of a user, or returns what was added earlier for the key of ctx. The caller holds the lock of m.
func addOnce[T any](ctx context.Context, m *Memory, user ID, add func() (T, error)) (added T, err error) {
	key, ok := IdempotencyKeyOf(ctx)
	if !ok {
		return add()
	}
	if stored, found := m.keys[key.Key]; found {
		if stored.request != key.Request {
			return added, ErrKeyReused
		}
		return stored.added.(T), nil
	}
	if m.deleteExpiredKeys(); len(m.keys) >= Capacity {
		return added, ErrFull
	}
	if added, err = add(); err == nil {
		m.keys = put(m.keys, key.Key, storedKey{user, key.Request, added, Now()})
	}
	return added, err
}

// deleteExpiredKeys makes room when the store is full of keys.
func (m *Memory) deleteExpiredKeys() {
	if len(m.keys) < Capacity {
		return
	}
	for key, stored := range m.keys {
		if Now().Sub(stored.createdAt) > IdempotencyLifetime {
			delete(m.keys, key)
		}
	}
}
