package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// IdempotencyKey lets a client repeat a request that adds something, without adding it twice. While the store remembers it,
// an Add method returns what it added for the same key before, or one of the errors below.
type IdempotencyKey struct {
	Key     [sha256.Size]byte // of the client's key, the user and the route
	Request [sha256.Size]byte // of what is asked with it
}

// IdempotencyLifetime is how long a key is remembered.
const IdempotencyLifetime = 24 * time.Hour

var (
	// ErrKeyReused says that the key was used for another request.
	ErrKeyReused = errors.New("the idempotency key was used for another request")
	// ErrKeyInUse says that the first request with this key is still running.
	ErrKeyInUse = errors.New("a request with this idempotency key is still running")
)

type keyOfContext struct{}

// WithIdempotencyKey has Add methods add something for this key at most once. The key is asked for when something is added:
// a request is known only after it has been read.
func WithIdempotencyKey(ctx context.Context, key func() IdempotencyKey) context.Context {
	return context.WithValue(ctx, keyOfContext{}, key)
}

// IdempotencyKeyOf returns the key of a context that has one.
func IdempotencyKeyOf(ctx context.Context) (key IdempotencyKey, given bool) {
	if asked, given := ctx.Value(keyOfContext{}).(func() IdempotencyKey); given {
		return asked(), true
	}
	return IdempotencyKey{}, false
}

// keptKey is a key that a Memory remembers.
type keptKey struct {
	user    ID
	request [sha256.Size]byte
	added   any
	since   time.Time
}

// addOnce adds something of a user, or returns what was added for the key of ctx before. The caller holds the lock of m.
func addOnce[T any](ctx context.Context, m *Memory, user ID, add func() (T, error)) (added T, err error) {
	key, given := IdempotencyKeyOf(ctx)
	if !given {
		return add()
	}
	if kept, found := m.keys[key.Key]; found {
		if kept.request != key.Request {
			return added, ErrKeyReused
		}
		return kept.added.(T), nil
	}
	if m.forgetExpiredKeys(); len(m.keys) >= Capacity {
		return added, ErrFull
	}
	if added, err = add(); err == nil {
		m.keys = put(m.keys, key.Key, keptKey{user, key.Request, added, Now()})
	}
	return added, err
}

func (m *Memory) forgetExpiredKeys() {
	if len(m.keys) < Capacity {
		return
	}
	for key, kept := range m.keys {
		if Now().Sub(kept.since) > IdempotencyLifetime {
			delete(m.keys, key)
		}
	}
}
