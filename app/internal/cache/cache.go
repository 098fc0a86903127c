// Package cache is a store that keeps frequently read shops and leaderboards in Redis, in front of another store. What
// each replica may compute or lose on its own does not belong here.
package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"slipway/app/internal/metrics"
	"slipway/app/internal/store"
)

const (
	shopTTL    = time.Minute
	leadersTTL = 10 * time.Second
	missingTTL = 5 * time.Second
	// changedTTL is how long a changed entry is not cached, because a reader may have loaded the old value just before.
	changedTTL  = 2 * loadTimeout
	loadTimeout = time.Second

	// prefix has a number that changes with the format of the entries, because two versions of the program run at a time.
	prefix = "slipway:cache:2:"
)

// Entries instead of a value.
const (
	changed = ""     // read from the store, and do not cache for now
	missing = "null" // the store has nothing with this ID
)

// Store reads shops and leaderboards from Redis, and from the store behind it what is not cached, or everything while
// Redis is unavailable. A recount invalidates the shop; a leaderboard may be 10 s old.
type Store struct {
	store.Store
	redis   *redis.Client
	metrics *metrics.Metrics
	flights singleflight.Group
}

// New returns a store that caches what it reads from another one.
func New(behind store.Store, client *redis.Client, m *metrics.Metrics) *Store {
	return &Store{Store: behind, redis: client, metrics: m}
}

func (s *Store) Shop(ctx context.Context, id store.ID) (store.Shop, error) {
	return cached(ctx, s, "shop", id.String(), shopTTL, func(ctx context.Context) (store.Shop, error) {
		return s.Store.Shop(ctx, id)
	})
}

func (s *Store) Leaders(ctx context.Context, limit int) ([]store.Shop, error) {
	return cached(ctx, s, "leaders", fmt.Sprint(limit), leadersTTL, func(ctx context.Context) ([]store.Shop, error) {
		shops, err := s.Store.Leaders(ctx, limit)
		if shops == nil {
			shops = []store.Shop{} // a nil slice is encoded as null, which stands for missing
		}
		return shops, err
	})
}

// Recount invalidates the shop after the recount. If Redis is unavailable then, it returns ErrStale: the old entry stays
// until shopTTL unless the caller tries again.
func (s *Store) Recount(ctx context.Context, change store.Change) error {
	if err := s.Store.Recount(ctx, change); err != nil {
		return err
	}
	if err := s.invalidate(ctx, change.Shop); err != nil {
		return fmt.Errorf("%w: %w", store.ErrStale, err)
	}
	return nil
}

// UpdateShop invalidates the shop after the change. If Redis is unavailable then, the old entry stays until shopTTL.
func (s *Store) UpdateShop(ctx context.Context, id, user store.ID, draft store.ShopDraft) (store.Shop, error) {
	shop, err := s.Store.UpdateShop(ctx, id, user, draft)
	if err == nil {
		s.invalidate(context.WithoutCancel(ctx), id)
	}
	return shop, err
}

// DeleteShop invalidates the shop, as UpdateShop does.
func (s *Store) DeleteShop(ctx context.Context, id, user store.ID) error {
	err := s.Store.DeleteShop(ctx, id, user)
	if err == nil {
		s.invalidate(context.WithoutCancel(ctx), id)
	}
	return err
}

// invalidate marks the entry of a shop as changed.
func (s *Store) invalidate(ctx context.Context, shop store.ID) error {
	err := s.redis.Set(ctx, prefix+"shop:"+shop.String(), changed, changedTTL).Err()
	s.count("shop", "forget", err)
	return err
}

// cached returns the cached or loaded value. Concurrent calls for the same key share one lookup, so that a popular entry
// is loaded once when it expires.
func cached[T any](ctx context.Context, s *Store, kind, name string, ttl time.Duration, load func(context.Context) (T, error)) (T, error) {
	key := prefix + kind + ":" + name
	result, err, _ := s.flights.Do(key, func() (any, error) {
		// The first caller may give up while the others still wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return lookUp(ctx, s, kind, key, ttl, load)
	})
	value, _ := result.(T)
	return value, err
}

func lookUp[T any](ctx context.Context, s *Store, kind, key string, ttl time.Duration, load func(context.Context) (T, error)) (value T, err error) {
	entry, err := s.redis.Get(ctx, key).Result()
	switch {
	case errors.Is(err, redis.Nil):
		s.count(kind, "miss", nil)
		value, err = load(ctx)
		s.keep(ctx, kind, key, ttl, value, err)
		return value, err
	case err != nil:
		s.count(kind, "hit", err)
		return load(ctx)
	case entry == missing:
		s.count(kind, "hit", nil)
		return value, store.ErrNotFound
	case entry == changed || json.Unmarshal([]byte(entry), &value) != nil:
		s.count(kind, "miss", nil)
		return load(ctx)
	}
	s.count(kind, "hit", nil)
	return value, nil
}

// keep caches a loaded value or its absence. It never replaces an existing entry, which is newer or marks a change.
func (s *Store) keep(ctx context.Context, kind, key string, ttl time.Duration, value any, err error) {
	content, encodingErr := json.Marshal(value)
	switch {
	case errors.Is(err, store.ErrNotFound):
		content, ttl = []byte(missing), missingTTL
	case err != nil || encodingErr != nil:
		return
	}
	s.count(kind, "keep", s.redis.SetNX(ctx, key, content, jitter(ttl)).Err())
}

// jitter changes a TTL by up to 10 %, so that entries cached at the same time do not expire at the same time.
func jitter(ttl time.Duration) time.Duration { return ttl*9/10 + rand.N(ttl/5) }

func (s *Store) count(kind, result string, err error) {
	if err != nil {
		result = "error"
	}
	s.metrics.Cache.WithLabelValues(kind, result).Inc()
}
