// Package limit keeps clients from asking more often than they may.
package limit

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"slipway/app/internal/metrics"
)

// Rate is how many requests are allowed in which time.
type Rate struct {
	Most   int
	Window time.Duration
}

func (r Rate) share() time.Duration { return r.Window / time.Duration(r.Most) }

// Decision is about one request.
type Decision struct {
	Allowed    bool
	Limit      int
	Remaining  int
	Reset      time.Duration // until Remaining is Limit again
	RetryAfter time.Duration // until the next request is allowed
}

// Limiter counts for all replicas in Redis, and for this process alone while Redis is away.
type Limiter struct {
	redis   *redis.Client // nil: only for this process
	metrics *metrics.Metrics
	local   local
}

// New takes nil where there is no Redis.
func New(client *redis.Client, m *metrics.Metrics) *Limiter {
	return &Limiter{redis: client, metrics: m}
}

const prefix = "slipway:limit:"

// The generic cell rate algorithm: each request moves the client's time ahead of the clock by its share of the window,
// and it may not get ahead by more than the window. One number per client, and no edge to gather requests at.
var take = redis.NewScript(`
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local ahead = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') - now, 0) + ARGV[1]
if ahead > tonumber(ARGV[2]) then return {0, ahead} end
redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
return {1, ahead}`)

// Take asks for one request of a client with this rate.
func (l *Limiter) Take(ctx context.Context, client string, rate Rate) Decision {
	where := "shared"
	allowed, ahead, err := l.takeShared(ctx, client, rate)
	if err != nil {
		where = "local"
		allowed, ahead = l.local.take(client, rate, time.Now())
	}
	result := "refused"
	if allowed {
		result = "allowed"
	}
	l.metrics.Limited.WithLabelValues(where, result).Inc()
	return decide(allowed, ahead, rate)
}

func (l *Limiter) takeShared(ctx context.Context, client string, rate Rate) (allowed bool, ahead time.Duration, err error) {
	if l.redis == nil {
		return false, 0, redis.ErrClosed
	}
	answer, err := take.Run(ctx, l.redis, []string{prefix + client}, rate.share().Microseconds(), rate.Window.Microseconds()).Int64Slice()
	if err != nil || len(answer) != 2 {
		return false, 0, redis.ErrClosed
	}
	return answer[0] == 1, time.Duration(answer[1]) * time.Microsecond, nil
}

// decide: ahead is where the request moves the client to, or would.
func decide(allowed bool, ahead time.Duration, rate Rate) Decision {
	if !allowed {
		return Decision{Limit: rate.Most, Reset: ahead - rate.share(), RetryAfter: ahead - rate.Window}
	}
	return Decision{Allowed: true, Limit: rate.Most, Remaining: int((rate.Window - ahead) / rate.share()), Reset: ahead}
}

// Forget gives a client all that its rate allows again.
func (l *Limiter) Forget(ctx context.Context, client string) {
	if l.redis != nil {
		l.redis.Del(ctx, prefix+client) // if that fails, time does it
	}
	l.local.forget(client)
}

// Exempt has IsExempt return true for a client, for some time.
func (l *Limiter) Exempt(ctx context.Context, client string, lifetime time.Duration) {
	if l.redis == nil || l.redis.Set(ctx, prefix+"exempt:"+client, 1, lifetime).Err() != nil {
		l.local.exempt(client, time.Now().Add(lifetime))
	}
}

// IsExempt reports whether Exempt was called for this client not too long ago.
func (l *Limiter) IsExempt(ctx context.Context, client string) bool {
	if l.redis != nil {
		if found, err := l.redis.Exists(ctx, prefix+"exempt:"+client).Result(); err == nil && found == 1 {
			return true
		}
	}
	return l.local.isExempt(client, time.Now())
}
