// Package cache keeps what is read most in Redis.
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
	shopLife    = time.Minute
	leadersLife = 10 * time.Second
	missingLife = 5 * time.Second
	// changedLife is how long nothing is kept of what changed: somebody may have read it just before.
	changedLife = 2 * loadTimeout
	loadTimeout = time.Second

	// The number changes with the shape of what is kept: two versions of the program run at a time.
	prefix = "slipway:cache:2:"
)

// What is kept instead of a value.
const (
	changed = ""     // read it from the store, and keep nothing for now
	missing = "null" // there is nothing with this id
)

// Store answers for shop pages and leader boards from Redis, and from the store behind it for what is not there, and
// for all when Redis is away. A shop is read anew once it is counted; a leader board may be 10 s old.
type Store struct {
	store.Store
	redis   *redis.Client
	metrics *metrics.Metrics
	flights singleflight.Group
}

// New puts a cache in front of a store.
func New(behind store.Store, client *redis.Client, m *metrics.Metrics) *Store {
	return &Store{Store: behind, redis: client, metrics: m}
}

func (s *Store) Shop(ctx context.Context, id store.ID) (store.Shop, error) {
	return cached(ctx, s, "shop", id.String(), shopLife, func(ctx context.Context) (store.Shop, error) {
		return s.Store.Shop(ctx, id)
	})
}

func (s *Store) Leaders(ctx context.Context, limit int) ([]store.Shop, error) {
	return cached(ctx, s, "leaders", fmt.Sprint(limit), leadersLife, func(ctx context.Context) ([]store.Shop, error) {
		return s.Store.Leaders(ctx, limit)
	})
}

// Recount forgets the shop after it is counted. If Redis does not answer then, the old page lives for shopLife at most,
// unless whoever is told ErrStale tries again.
func (s *Store) Recount(ctx context.Context, change store.Change) error {
	if err := s.Store.Recount(ctx, change); err != nil {
		return err
	}
	if err := s.forget(ctx, change.Shop); err != nil {
		return fmt.Errorf("%w: %w", store.ErrStale, err)
	}
	return nil
}

// UpdateShop forgets the shop after it is changed. If Redis does not answer then, the old shop lives for shopLife at most.
func (s *Store) UpdateShop(ctx context.Context, id, user store.ID, draft store.ShopDraft) (store.Shop, error) {
	shop, err := s.Store.UpdateShop(ctx, id, user, draft)
	if err == nil {
		s.forget(context.WithoutCancel(ctx), id)
	}
	return shop, err
}

// DeleteShop forgets the shop, as UpdateShop does.
func (s *Store) DeleteShop(ctx context.Context, id, user store.ID) error {
	err := s.Store.DeleteShop(ctx, id, user)
	if err == nil {
		s.forget(context.WithoutCancel(ctx), id)
	}
	return err
}

func (s *Store) forget(ctx context.Context, shop store.ID) error {
	err := s.redis.Set(ctx, prefix+"shop:"+shop.String(), changed, changedLife).Err()
	s.count("shop", "forget", err)
	return err
}

// cached asks once for all who want the same at the same time: what many read is not loaded many times when it expires.
func cached[T any](ctx context.Context, s *Store, kind, name string, life time.Duration, load func(context.Context) (T, error)) (T, error) {
	key := prefix + kind + ":" + name
	found, err, _ := s.flights.Do(key, func() (any, error) {
		// The first one may give up; the others still wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return lookUp(ctx, s, kind, key, life, load)
	})
	value, _ := found.(T)
	return value, err
}

func lookUp[T any](ctx context.Context, s *Store, kind, key string, life time.Duration, load func(context.Context) (T, error)) (value T, err error) {
	kept, err := s.redis.Get(ctx, key).Result()
	switch {
	case errors.Is(err, redis.Nil):
		s.count(kind, "miss", nil)
		value, err = load(ctx)
		s.keep(ctx, kind, key, life, value, err)
		return value, err
	case err != nil:
		s.count(kind, "hit", err)
		return load(ctx)
	case kept == missing:
		s.count(kind, "hit", nil)
		return value, store.ErrNotFound
	case kept == changed || json.Unmarshal([]byte(kept), &value) != nil:
		s.count(kind, "miss", nil)
		return load(ctx)
	}
	s.count(kind, "hit", nil)
	return value, nil
}

// keep changes nothing that is there: that is newer, or says that the value has changed.
func (s *Store) keep(ctx context.Context, kind, key string, life time.Duration, value any, err error) {
	content, encodingErr := json.Marshal(value)
	switch {
	case errors.Is(err, store.ErrNotFound):
		content, life = []byte(missing), missingLife
	case err != nil || encodingErr != nil:
		return
	}
	s.count(kind, "keep", s.redis.SetNX(ctx, key, content, jitter(life)).Err())
}

// jitter is up to 10 % more or less: what was kept together must not expire together.
func jitter(life time.Duration) time.Duration { return life*9/10 + rand.N(life/5) }

func (s *Store) count(kind, result string, err error) {
	if err != nil {
		result = "error"
	}
	s.metrics.Cache.WithLabelValues(kind, result).Inc()
}
