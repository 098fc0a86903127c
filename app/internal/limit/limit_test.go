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

const window = time.Minute

func newLimiter(client *redis.Client) *limit.Limiter { return limit.New(client, metrics.New("test")) }

// spends takes all that is allowed, and checks what is said on the way.
func spends(t *testing.T, limiter *limit.Limiter, most int) {
	t.Helper()
	for left := most - 1; left >= 0; left-- {
		got := limiter.Take(t.Context(), "ada", limit.Rate{Most: most, Window: window})
		// Time goes on while a real server is asked: one share may be back already.
		if !got.Allowed || got.Limit != most || got.Remaining < left || got.Remaining > left+1 || got.Reset <= 0 || got.Reset > window {
			t.Fatalf("with %d left: %+v", left, got)
		}
	}
	share := window / time.Duration(most)
	got := limiter.Take(t.Context(), "ada", limit.Rate{Most: most, Window: window})
	if got.Allowed || got.Remaining != 0 || got.RetryAfter <= 0 || got.RetryAfter > share || got.Reset > window {
		t.Fatalf("beyond: %+v", got)
	}
	if !limiter.Take(t.Context(), "bob", limit.Rate{Most: most, Window: window}).Allowed {
		t.Error("somebody else is refused")
	}
}

func TestAClientGetsWhatIsAllowedAndThenOneShareAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := newLimiter(nil)
		spends(t, limiter, 10)
		time.Sleep(6 * time.Second)
		for _, want := range []bool{true, false} {
			if got := limiter.Take(t.Context(), "ada", limit.Rate{Most: 10, Window: window}); got.Allowed != want {
				t.Errorf("a share later: %+v, want %v", got, want)
			}
		}
		time.Sleep(window)
		spends(t, limiter, 10)
	})
}

func TestReplicasShareALimit(t *testing.T) {
	client, _ := redistest.Client(t)
	spends(t, newLimiter(client), 10)
	if newLimiter(client).Take(t.Context(), "ada", limit.Rate{Most: 10, Window: window}).Allowed {
		t.Error("another replica allows more")
	}
	key := client.Keys(t.Context(), "*ada").Val()[0]
	if life := client.PTTL(t.Context(), key).Val(); life <= 0 || life > window {
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
					if limiter.Take(t.Context(), "many", limit.Rate{Most: 20, Window: window}).Allowed {
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

func TestWhoSucceedsIsForgottenAndWhoIsExemptStaysSoForAWhile(t *testing.T) {
	client, _ := redistest.Client(t)
	for name, limiter := range map[string]*limit.Limiter{"shared": newLimiter(client), "local": newLimiter(nil)} {
		t.Run(name, func(t *testing.T) {
			spends(t, limiter, 10)
			limiter.Forget(t.Context(), "ada")
			spends(t, limiter, 10)
			if limiter.IsExempt(t.Context(), "ada") {
				t.Error("exempt before")
			}
			limiter.Exempt(t.Context(), "ada", 200*time.Millisecond)
			if !limiter.IsExempt(t.Context(), "ada") || limiter.IsExempt(t.Context(), "eve") {
				t.Error("not exempt, or somebody else too")
			}
			time.Sleep(250 * time.Millisecond)
			if limiter.IsExempt(t.Context(), "ada") {
				t.Error("exempt for ever")
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
	if !limiter.Take(t.Context(), "ada", limit.Rate{Most: 10, Window: window}).Allowed {
		t.Error("the shared limit is not back")
	}
}

func TestSoManyClientsAreForgottenNotKept(t *testing.T) {
	limiter := newLimiter(nil)
	for number := range 250_000 {
		limiter.Take(t.Context(), fmt.Sprint(number), limit.Rate{Most: 10, Window: window})
	}
	if got := limiter.ClientsForTest(); got > 50_000 {
		t.Errorf("%d are kept", got)
	}
}
