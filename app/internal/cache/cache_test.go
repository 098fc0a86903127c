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

// counted is a store that counts how often it is asked.
type counted struct {
	store.Memory
	shops, leaders atomic.Int32
	slow           time.Duration
}

func (c *counted) Shop(ctx context.Context, id store.ID) (store.Shop, error) {
	c.shops.Add(1)
	time.Sleep(c.slow)
	return c.Memory.Shop(ctx, id)
}

func (c *counted) Leaders(ctx context.Context, limit int) ([]store.Shop, error) {
	c.leaders.Add(1)
	return c.Memory.Leaders(ctx, limit)
}

type setup struct {
	*cache.Store
	t      *testing.T
	behind *counted
	client *redis.Client
	line   *outage.Line
	shop   store.Shop
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	client, line := redistest.Client(t)
	behind := &counted{}
	user, err := behind.AddUser(t.Context(), store.UserDraft{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	shop, err := behind.AddShop(t.Context(), user.ID, store.ShopDraft{Name: "größer"})
	if err != nil {
		t.Fatal(err)
	}
	return &setup{cache.New(behind, client, metrics.New("test")), t, behind, client, line, shop}
}

func (s *setup) wantShop(asked int32) {
	s.t.Helper()
	if got, err := s.Shop(s.t.Context(), s.shop.ID); err != nil || got.ShopDraft != s.shop.ShopDraft || !got.CreatedAt.Equal(s.shop.CreatedAt) {
		s.t.Errorf("got %+v, %v", got, err)
	}
	if got := s.behind.shops.Load(); got != asked {
		s.t.Errorf("the store was asked %d times, want %d", got, asked)
	}
}

func TestAStoreWithACacheDoesWhatAStoreDoes(t *testing.T) {
	redistest.Client(t)
	storetest.Contract(t, func(t *testing.T) store.Store {
		client, _ := redistest.Client(t)
		return cache.New(&store.Memory{}, client, metrics.New("test"))
	})
}

func TestWhatIsReadAgainComesFromTheCache(t *testing.T) {
	s := newSetup(t)
	s.wantShop(1)
	s.wantShop(1)
	for range 3 {
		if got, err := s.Leaders(t.Context(), 5); err != nil || len(got) != 1 || got[0] != s.shop {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if got := s.behind.leaders.Load(); got != 1 {
		t.Errorf("the leaders were asked for %d times", got)
	}
}

func TestWhatIsNotThereIsRememberedForAMoment(t *testing.T) {
	s := newSetup(t)
	for range 3 {
		if _, err := s.Shop(t.Context(), store.ID{1}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
	if got := s.behind.shops.Load(); got != 1 {
		t.Errorf("the store was asked %d times", got)
	}
	key := s.client.Keys(t.Context(), "*").Val()[0]
	if life := s.client.PTTL(t.Context(), key).Val(); life <= 0 || life > 6*time.Second {
		t.Errorf("it is remembered for %s", life)
	}
}

func TestAShopIsReadAnewOnceItIsCounted(t *testing.T) {
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
	// Somebody who read it before it was counted must not put that back.
	s.wantShop(3)
	time.Sleep(2100 * time.Millisecond)
	s.wantShop(4)
	s.wantShop(4)
}

func TestManyWhoWantTheSameAskOnce(t *testing.T) {
	s := newSetup(t)
	s.behind.slow = 100 * time.Millisecond
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

func TestWhatWasKeptTogetherDoesNotExpireTogether(t *testing.T) {
	s := newSetup(t)
	lives := map[time.Duration]bool{}
	for range 10 {
		shop, err := s.AddShop(t.Context(), s.shop.Creator, store.ShopDraft{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		s.Shop(t.Context(), shop.ID)
	}
	for _, key := range s.client.Keys(t.Context(), "*").Val() {
		life := s.client.PTTL(t.Context(), key).Val()
		if life < 50*time.Second || life > 67*time.Second {
			t.Errorf("kept for %s", life)
		}
		lives[life.Round(100*time.Millisecond)] = true
	}
	if len(lives) < 5 {
		t.Errorf("ten entries live %v", lives)
	}
}

func TestWhatCannotBeReadIsReadFromTheStore(t *testing.T) {
	s := newSetup(t)
	s.wantShop(1)
	for _, key := range s.client.Keys(t.Context(), "*").Val() {
		s.client.Set(t.Context(), key, "{broken", time.Minute)
	}
	s.wantShop(2)
}

func TestWithoutRedisTheStoreAnswers(t *testing.T) {
	for name, fail := range map[string]func(*outage.Line){"stopped": (*outage.Line).Cut, "hanging": (*outage.Line).Freeze} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t)
			s.wantShop(1)
			fail(s.line)
			started := time.Now()
			for asked := range int32(20) {
				s.wantShop(2 + asked)
			}
			if took := time.Since(started); took > 600*time.Millisecond {
				t.Errorf("twenty answers took %s", took)
			}
			if err := s.Recount(t.Context(), store.Change{Shop: s.shop.ID}); !errors.Is(err, store.ErrStale) {
				t.Errorf("nobody is told that the old page is still there: %v", err)
			}
			s.line.Cut()
			s.line.Mend()
			time.Sleep(1100 * time.Millisecond)
			s.wantShop(21) // it was kept before, and is there again
		})
	}
}
