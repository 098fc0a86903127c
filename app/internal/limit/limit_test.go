package limit_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"slipway/app/internal/limit"
	"slipway/app/internal/metrics"
	"slipway/app/internal/redis"
	"slipway/app/internal/redis/redistest"
)

func newLimiter(client *redis.Client) *limit.Limiter { return limit.New(client, metrics.New("test")) }

// spends takes all that is allowed, and checks what is said on the way.
func spends(t *testing.T, limiter *limit.Limiter, most int) {
	t.Helper()
	for left := most - 1; left >= 0; left-- {
		got := limiter.Take(t.Context(), "ada", most)
		// Time goes on while a real server is asked: one share may be back already.
		if !got.Allowed || got.Limit != most || got.Remaining < left || got.Remaining > left+1 || got.Reset <= 0 || got.Reset > limit.Window {
			t.Fatalf("with %d left: %+v", left, got)
		}
	}
	share := limit.Window / time.Duration(most)
	got := limiter.Take(t.Context(), "ada", most)
	if got.Allowed || got.Remaining != 0 || got.RetryAfter <= 0 || got.RetryAfter > share || got.Reset > limit.Window {
		t.Fatalf("beyond: %+v", got)
	}
	if !limiter.Take(t.Context(), "bob", most).Allowed {
		t.Error("somebody else is refused")
	}
}

func TestAClientGetsWhatIsAllowedAndThenOneShareAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := newLimiter(nil)
		spends(t, limiter, 10)
		time.Sleep(6 * time.Second)
		for _, want := range []bool{true, false} {
			if got := limiter.Take(t.Context(), "ada", 10); got.Allowed != want {
				t.Errorf("a share later: %+v, want %v", got, want)
			}
		}
		time.Sleep(limit.Window)
		spends(t, limiter, 10)
	})
}

func TestReplicasShareALimit(t *testing.T) {
	client, _ := redistest.Client(t)
	spends(t, newLimiter(client), 10)
	if newLimiter(client).Take(t.Context(), "ada", 10).Allowed {
		t.Error("another replica allows more")
	}
	key := client.Keys(t.Context(), "*ada").Val()[0]
	if life := client.PTTL(t.Context(), key).Val(); life <= 0 || life > limit.Window {
		t.Errorf("a client who has gone is remembered for %s", life)
	}
}

func TestManyAtOnceGetNoMoreThanIsAllowed(t *testing.T) {
	client, _ := redistest.Client(t)
	for name, limiter := range map[string]*limit.Limiter{"shared": newLimiter(client), "local": newLimiter(nil)} {
		t.Run(name, func(t *testing.T) {
			var allowed atomic.Int32
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if limiter.Take(t.Context(), "many", 20).Allowed {
						allowed.Add(1)
					}
				})
			}
			all.Wait()
			if got := allowed.Load(); got != 20 {
				t.Errorf("%d were allowed", got)
			}
		})
	}
}

func TestWithoutRedisEachReplicaLimitsOnItsOwn(t *testing.T) {
	client, line := redistest.Client(t)
	limiter := newLimiter(client)
	line.Cut()
	spends(t, limiter, 10)
	line.Mend()
	time.Sleep(1100 * time.Millisecond)
	if !limiter.Take(t.Context(), "ada", 10).Allowed {
		t.Error("the shared limit is not back")
	}
}

func TestSoManyClientsAreForgottenNotKept(t *testing.T) {
	limiter := newLimiter(nil)
	for number := range 250_000 {
		limiter.Take(t.Context(), fmt.Sprint(number), 10)
	}
	if got := limiter.ClientsForTest(); got > 100_000 {
		t.Errorf("%d are kept", got)
	}
}
