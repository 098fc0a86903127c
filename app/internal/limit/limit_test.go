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

// spend uses up the limit, and checks each decision.
func spend(t *testing.T, limiter *limit.Limiter, maximum int) {
	t.Helper()
	for left := maximum - 1; left >= 0; left-- {
		got := limiter.Take(t.Context(), "ada", limit.Rate{Max: maximum, Window: window})
		// Time passes during calls of a real server: one share may be free again already.
		if !got.Allowed || got.Limit != maximum || got.Remaining < left || got.Remaining > left+1 || got.Reset <= 0 || got.Reset > window {
			t.Fatalf("with %d left: %+v", left, got)
		}
	}
	share := window / time.Duration(maximum)
	got := limiter.Take(t.Context(), "ada", limit.Rate{Max: maximum, Window: window})
	if got.Allowed || got.Remaining != 0 || got.RetryAfter <= 0 || got.RetryAfter > share || got.Reset > window {
		t.Fatalf("beyond: %+v", got)
	}
	if !limiter.Take(t.Context(), "bob", limit.Rate{Max: maximum, Window: window}).Allowed {
		t.Error("another client is refused")
	}
}

func TestAClientGetsItsLimitAndThenOneShareAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := newLimiter(nil)
		spend(t, limiter, 10)
		time.Sleep(6 * time.Second)
		for _, want := range []bool{true, false} {
			if got := limiter.Take(t.Context(), "ada", limit.Rate{Max: 10, Window: window}); got.Allowed != want {
				t.Errorf("a share later: %+v, want %v", got, want)
			}
		}
		time.Sleep(window)
		spend(t, limiter, 10)
	})
}

func TestReplicasShareALimit(t *testing.T) {
	client, _ := redistest.Client(t)
	spend(t, newLimiter(client), 10)
	if newLimiter(client).Take(t.Context(), "ada", limit.Rate{Max: 10, Window: window}).Allowed {
		t.Error("another replica allows more")
	}
	key := client.Keys(t.Context(), "*ada").Val()[0]
	if ttl := client.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > window {
		t.Errorf("a client is remembered for %s", ttl)
	}
}

func TestConcurrentRequestsDoNotExceedTheLimit(t *testing.T) {
	client, _ := redistest.Client(t)
	for name, limiter := range map[string]*limit.Limiter{"shared": newLimiter(client), "local": newLimiter(nil)} {
		t.Run(name, func(t *testing.T) {
			var allowed atomic.Int32
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if limiter.Take(t.Context(), "many", limit.Rate{Max: 20, Window: window}).Allowed {
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

func TestForgetResetsAClientAndAnExemptionExpires(t *testing.T) {
	client, _ := redistest.Client(t)
	for name, limiter := range map[string]*limit.Limiter{"shared": newLimiter(client), "local": newLimiter(nil)} {
		t.Run(name, func(t *testing.T) {
			spend(t, limiter, 10)
			limiter.Forget(t.Context(), "ada")
			spend(t, limiter, 10)
			if limiter.IsExempt(t.Context(), "ada") {
				t.Error("exempt before Exempt")
			}
			limiter.Exempt(t.Context(), "ada", 200*time.Millisecond)
			if !limiter.IsExempt(t.Context(), "ada") || limiter.IsExempt(t.Context(), "eve") {
				t.Error("not exempt, or another client is exempt too")
			}
			time.Sleep(250 * time.Millisecond)
			if limiter.IsExempt(t.Context(), "ada") {
				t.Error("the exemption does not end")
			}
		})
	}
}

func TestWithoutRedisEachReplicaLimitsOnItsOwn(t *testing.T) {
	client, proxy := redistest.Client(t)
	limiter := newLimiter(client)
	proxy.Cut()
	spend(t, limiter, 10)
	proxy.Restore()
	time.Sleep(1100 * time.Millisecond)
	if !limiter.Take(t.Context(), "ada", limit.Rate{Max: 10, Window: window}).Allowed {
		t.Error("the shared limit is not back")
	}
}

func TestTheNumberOfClientsInMemoryIsLimited(t *testing.T) {
	limiter := newLimiter(nil)
	for number := range 250_000 {
		limiter.Take(t.Context(), fmt.Sprint(number), limit.Rate{Max: 10, Window: window})
	}
	if got := limiter.ClientsForTest(); got > 50_000 {
		t.Errorf("%d are kept", got)
	}
}
