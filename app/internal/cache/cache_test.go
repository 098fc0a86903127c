package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipway/app/internal/cache"
	"slipway/app/internal/metrics"
	"slipway/app/internal/outage"
	"slipway/app/internal/redis"
	"slipway/app/internal/redis/redistest"
	"slipway/app/internal/store"
	"slipway/app/internal/store/storetest"
)

// countingStore counts how often it is read.
type countingStore struct {
	store.Memory
	shops, leaders atomic.Int32
	delay          time.Duration
}

func (c *countingStore) Shop(ctx context.Context, id store.ID) (store.Shop, error) {
	c.shops.Add(1)
	time.Sleep(c.delay)
	return c.Memory.Shop(ctx, id)
}

func (c *countingStore) Leaders(ctx context.Context, limit int) ([]store.Shop, error) {
	c.leaders.Add(1)
	return c.Memory.Leaders(ctx, limit)
}

// setup is a cache with a shop in the store behind it.
type setup struct {
	*cache.Store
	t      *testing.T
	behind *countingStore
	client *redis.Client
	proxy  *outage.Proxy
	shop   store.Shop
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	client, proxy := redistest.Client(t)
	behind := &countingStore{}
	user, err := behind.AddUser(t.Context(), store.UserDraft{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	shop, err := behind.AddShop(t.Context(), user.ID, store.ShopDraft{Name: "größer"})
	if err != nil {
		t.Fatal(err)
	}
	return &setup{cache.New(behind, client, metrics.New("test")), t, behind, client, proxy, shop}
}

// wantShop reads the shop, and checks how often the store behind was read so far.
func (s *setup) wantShop(reads int32) {
	s.t.Helper()
	if got, err := s.Shop(s.t.Context(), s.shop.ID); err != nil || got.ShopDraft != s.shop.ShopDraft || !got.CreatedAt.Equal(s.shop.CreatedAt) {
		s.t.Errorf("got %+v, %v", got, err)
	}
	if got := s.behind.shops.Load(); got != reads {
		s.t.Errorf("the store was read %d times, want %d", got, reads)
	}
}

func TestACachedStoreFulfilsTheStoreContract(t *testing.T) {
	redistest.Client(t)
	storetest.Contract(t, func(t *testing.T) store.Store {
		client, _ := redistest.Client(t)
		return cache.New(&store.Memory{}, client, metrics.New("test"))
	})
}

func TestRepeatedReadsComeFromTheCache(t *testing.T) {
	s := newSetup(t)
	s.wantShop(1)
	s.wantShop(1)
	for range 3 {
		if got, err := s.Leaders(t.Context(), 5); err != nil || len(got) != 1 || got[0] != s.shop {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if got := s.behind.leaders.Load(); got != 1 {
		t.Errorf("the leaders were read %d times", got)
	}
}

func TestTheLeadersOfAnEmptyStoreAreAnEmptyList(t *testing.T) {
	client, _ := redistest.Client(t)
	behind := &countingStore{}
	s := cache.New(behind, client, metrics.New("test"))
	for range 3 {
		if got, err := s.Leaders(t.Context(), 5); err != nil || len(got) != 0 {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if got := behind.leaders.Load(); got != 1 {
		t.Errorf("the leaders were read %d times", got)
	}
}

func TestAMissingShopIsCachedForAMoment(t *testing.T) {
	s := newSetup(t)
	for range 3 {
		if _, err := s.Shop(t.Context(), store.ID{1}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
	if got := s.behind.shops.Load(); got != 1 {
		t.Errorf("the store was read %d times", got)
	}
	key := s.client.Keys(t.Context(), "*").Val()[0]
	if ttl := s.client.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 6*time.Second {
		t.Errorf("it is cached for %s", ttl)
	}
}

func TestARecountInvalidatesTheShop(t *testing.T) {
	s := newSetup(t)
	s.wantShop(1)
	if _, err := s.AddReview(t.Context(), store.ReviewDraft{Shop: s.shop.ID, Author: s.shop.Creator, Stars: 5}); err != nil {
		t.Fatal(err)
	}
	if err := s.Recount(t.Context(), store.Change{Shop: s.shop.ID}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Shop(t.Context(), s.shop.ID)
	if err != nil || got.Rating.Reviews != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	// A reader that loaded the shop before the recount must not cache the old value.
	s.wantShop(3)
	time.Sleep(2100 * time.Millisecond)
	s.wantShop(4)
	s.wantShop(4)
}

func TestConcurrentReadsShareOneLoad(t *testing.T) {
	s := newSetup(t)
	s.behind.delay = 100 * time.Millisecond
	impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	var readers sync.WaitGroup
	readers.Go(func() { s.Shop(impatient, s.shop.ID) })
	for range 50 {
		readers.Go(func() {
			if _, err := s.Shop(t.Context(), s.shop.ID); err != nil {
				t.Error(err)
			}
		})
	}
	readers.Wait()
	s.wantShop(1)
}

func TestEntriesCachedTogetherDoNotExpireTogether(t *testing.T) {
	s := newSetup(t)
	ttls := map[time.Duration]bool{}
	for range 10 {
		shop, err := s.AddShop(t.Context(), s.shop.Creator, store.ShopDraft{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		s.Shop(t.Context(), shop.ID)
	}
	for _, key := range s.client.Keys(t.Context(), "*").Val() {
		ttl := s.client.PTTL(t.Context(), key).Val()
		if ttl < 50*time.Second || ttl > 67*time.Second {
			t.Errorf("cached for %s", ttl)
		}
		ttls[ttl.Round(100*time.Millisecond)] = true
	}
	if len(ttls) < 5 {
		t.Errorf("ten entries have the TTLs %v", ttls)
	}
}

func TestABrokenEntryIsReadFromTheStore(t *testing.T) {
	s := newSetup(t)
	s.wantShop(1)
	for _, key := range s.client.Keys(t.Context(), "*").Val() {
		s.client.Set(t.Context(), key, "{broken", time.Minute)
	}
	s.wantShop(2)
}

func TestWithoutRedisTheStoreIsRead(t *testing.T) {
	for name, fail := range map[string]func(*outage.Proxy){"stopped": (*outage.Proxy).Cut, "hanging": (*outage.Proxy).Freeze} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t)
			s.wantShop(1)
			fail(s.proxy)
			started := time.Now()
			for reads := range int32(20) {
				s.wantShop(2 + reads)
			}
			if took := time.Since(started); took > 600*time.Millisecond {
				t.Errorf("twenty reads took %s", took)
			}
			if err := s.Recount(t.Context(), store.Change{Shop: s.shop.ID}); !errors.Is(err, store.ErrStale) {
				t.Errorf("the caller is not told that the old entry is still there: %v", err)
			}
			s.proxy.Cut()
			s.proxy.Restore()
			time.Sleep(1100 * time.Millisecond)
			s.wantShop(21) // the entry from before is still cached
		})
	}
}
