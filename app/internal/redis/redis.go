// Package redis opens clients of the Redis server that all replicas share, with timeouts, a circuit breaker and failover.
// What is stored in Redis belongs to the packages that use it; each of them has to work while Redis is unavailable.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"slipway/app/internal/config"
)

// Client is a go-redis client. Open returns one that gives up quickly.
type Client = redis.Client

// Options locate the server. User and Password may be empty.
type Options struct {
	Host     string
	Port     int
	User     string
	Password config.Secret
	TLS      *tls.Config // nil for plain TCP
}

const (
	// timeout is far longer than a response takes, and short enough that a request can wait for it without a response.
	timeout = 200 * time.Millisecond
	// tlsDialTimeout leaves time for many TLS handshakes at once in a pod with little CPU.
	tlsDialTimeout = time.Second
	maxConnections = 20
	// breakerPause is how long commands fail at once after a server did not respond.
	breakerPause = time.Second
)

// Open returns a client without connecting: a server that is unavailable now may come back.
func Open(options Options) *Client {
	redis.SetLogger(discardLogger{})
	dialer, breaker := &dialer{tls: options.TLS}, &breaker{}
	client := redis.NewClient(&redis.Options{
		Addr:        net.JoinHostPort(options.Host, strconv.Itoa(options.Port)),
		Dialer:      dialer.dial,
		Username:    options.User,
		Password:    options.Password.Reveal(),
		DialTimeout: options.dialTimeout(), ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		DialerRetries: 1, MaxRetries: -1,
		PoolSize:              maxConnections,
		ContextTimeoutEnabled: true,
		DisableIdentity:       true,
		Limiter:               breaker,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled, // only exists in Redis Enterprise
		},
	})
	client.AddHook(tracer{})
	client.AddHook(failover{dialer, breaker})
	return client
}

func (o Options) dialTimeout() time.Duration {
	if o.TLS != nil {
		return tlsDialTimeout
	}
	return timeout
}

// ErrDown is returned without contacting the server, because it did not respond a moment ago.
var ErrDown = errors.New("the server did not respond a moment ago")

// isUnreachable reports whether the server did not respond. That is unknown if the breaker was open or the caller
// canceled.
func isUnreachable(err error) bool {
	var redisErr redis.Error
	return err != nil && !errors.As(err, &redisErr) && !errors.Is(err, ErrDown) && !errors.Is(err, context.Canceled)
}

// breaker is a circuit breaker: after a failure all commands fail at once for breakerPause, so that requests do not each
// wait for an unavailable server. After the pause it lets all commands through, not just one: go-redis also calls it for
// the commands that log in on a new connection, so that a single probe would need several of them.
type breaker struct{ nextTry atomic.Int64 } // Unix time in nanoseconds; 0 while closed

// Allow returns ErrDown while the breaker is open.
func (b *breaker) Allow() error {
	if time.Now().UnixNano() < b.nextTry.Load() {
		return ErrDown
	}
	return nil
}

// ReportResult opens the breaker after a failure and closes it after a success.
func (b *breaker) ReportResult(err error) {
	switch {
	case isUnreachable(err):
		b.open()
	case errors.Is(err, ErrDown), errors.Is(err, context.Canceled), isServerError(err): // failover handles the last one
	default:
		b.nextTry.Store(0)
	}
}

func (b *breaker) open() { b.nextTry.Store(time.Now().Add(breakerPause).UnixNano()) }

// discardLogger drops the messages of go-redis: each caller logs its own failures.
type discardLogger struct{}

func (discardLogger) Printf(context.Context, string, ...any) {}
