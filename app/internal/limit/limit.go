// Package limit keeps clients from asking more often than they may.
package limit

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"slipway/app/internal/metrics"
)

// Window is the time a number of requests is allowed in.
const Window = time.Minute

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

// The generic cell rate algorithm: each request moves the client's time ahead of the clock by its share of the window,
// and it may not get ahead by more than the window. One number per client, and no edge to gather requests at.
var take = redis.NewScript(`
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local ahead = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') - now, 0) + ARGV[1]
if ahead > tonumber(ARGV[2]) then return {0, ahead} end
redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
return {1, ahead}`)

// Take asks for one request of a client that may make so many in a Window.
func (l *Limiter) Take(ctx context.Context, client string, most int) Decision {
	share := Window / time.Duration(most)
	where := "shared"
	allowed, ahead, err := l.takeShared(ctx, client, share)
	if err != nil {
		where = "local"
		allowed, ahead = l.local.take(client, share, time.Now())
	}
	result := "refused"
	if allowed {
		result = "allowed"
	}
	l.metrics.Limited.WithLabelValues(where, result).Inc()
	return decide(allowed, ahead, share, most)
}

func (l *Limiter) takeShared(ctx context.Context, client string, share time.Duration) (allowed bool, ahead time.Duration, err error) {
	if l.redis == nil {
		return false, 0, redis.ErrClosed
	}
	answer, err := take.Run(ctx, l.redis, []string{"slipway:limit:" + client}, share.Microseconds(), Window.Microseconds()).Int64Slice()
	if err != nil || len(answer) != 2 {
		return false, 0, redis.ErrClosed
	}
	return answer[0] == 1, time.Duration(answer[1]) * time.Microsecond, nil
}

// decide: ahead is where the request moves the client to, or would.
func decide(allowed bool, ahead, share time.Duration, most int) Decision {
	if !allowed {
		return Decision{Limit: most, Reset: ahead - share, RetryAfter: ahead - Window}
	}
	return Decision{Allowed: true, Limit: most, Remaining: int((Window - ahead) / share), Reset: ahead}
}
