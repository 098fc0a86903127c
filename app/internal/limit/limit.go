// Package limit implements rate limits, shared by all replicas through Redis or local to the process. Which clients and
// routes have which limit is up to the packages that use it.
package limit

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"slipway/app/internal/metrics"
)

// Rate is the maximum number of requests within a window.
type Rate struct {
	Max    int
	Window time.Duration
}

// share is the part of the window that each request uses.
func (r Rate) share() time.Duration { return r.Window / time.Duration(r.Max) }

// Decision is the result for one request.
type Decision struct {
	Allowed    bool
	Limit      int
	Remaining  int
	Reset      time.Duration // until Remaining is Limit again
	RetryAfter time.Duration // until the next request is allowed
}

// Limiter counts requests in Redis for all replicas, and for this process alone while Redis is unavailable.
type Limiter struct {
	redis   *redis.Client // nil if there is no Redis
	metrics *metrics.Metrics
	local   local
}

// New returns a limiter. Without Redis, client is nil.
func New(client *redis.Client, m *metrics.Metrics) *Limiter {
	return &Limiter{redis: client, metrics: m}
}

const prefix = "slipway:limit:"

// take implements the generic cell rate algorithm: each request moves the time of the client ahead by its share of the
// window, and that time may be ahead of the clock by at most the window. It needs one number per client, and unlike fixed
// windows it allows no burst at the edge of two windows.
var take = redis.NewScript(`
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local ahead = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') - now, 0) + ARGV[1]
if ahead > tonumber(ARGV[2]) then return {0, ahead} end
redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
return {1, ahead}`)

// Take decides about one request of a client, and counts it if it is allowed.
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
	reply, err := take.Run(ctx, l.redis, []string{prefix + client}, rate.share().Microseconds(), rate.Window.Microseconds()).Int64Slice()
	if err != nil || len(reply) != 2 {
		return false, 0, redis.ErrClosed
	}
	return reply[0] == 1, time.Duration(reply[1]) * time.Microsecond, nil
}

// decide describes a decision. ahead is how far the request moves the client ahead of the clock, or would.
func decide(allowed bool, ahead time.Duration, rate Rate) Decision {
	if !allowed {
		return Decision{Limit: rate.Max, Reset: ahead - rate.share(), RetryAfter: ahead - rate.Window}
	}
	return Decision{Allowed: true, Limit: rate.Max, Remaining: int((rate.Window - ahead) / rate.share()), Reset: ahead}
}

// Forget resets the count of a client.
func (l *Limiter) Forget(ctx context.Context, client string) {
	if l.redis != nil {
		l.redis.Del(ctx, prefix+client) // if that fails, the key expires later
	}
	l.local.forget(client)
}

// Exempt makes IsExempt return true for a client during lifetime.
func (l *Limiter) Exempt(ctx context.Context, client string, lifetime time.Duration) {
	if l.redis == nil || l.redis.Set(ctx, prefix+"exempt:"+client, 1, lifetime).Err() != nil {
		l.local.exempt(client, time.Now().Add(lifetime))
	}
}

// IsExempt reports whether the client is exempt now.
func (l *Limiter) IsExempt(ctx context.Context, client string) bool {
	if l.redis != nil {
		if count, err := l.redis.Exists(ctx, prefix+"exempt:"+client).Result(); err == nil && count == 1 {
			return true
		}
	}
	return l.local.isExempt(client, time.Now())
}
