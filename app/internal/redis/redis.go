// Package redis opens the memory all replicas share. Everybody who uses it must be able to do without: it may be away.
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

// Client is a go-redis client that gives up fast.
type Client = redis.Client

// Options says where the server is. User and password may be empty.
type Options struct {
	Host     string
	Port     int
	User     string
	Password config.Secret
	TLS      *tls.Config // nil: without
}

const (
	// timeout is far longer than an answer takes, and short enough to wait for in vain.
	timeout = 200 * time.Millisecond
	// tlsDialTimeout has room for the arithmetic of many connections at the same time in a pod with little CPU.
	tlsDialTimeout  = time.Second
	mostConnections = 20
	// pause is how long a server is left alone that did not answer.
	pause = time.Second
)

// Open does not connect: a server that is away now may come back.
func Open(options Options) *Client {
	redis.SetLogger(silence{})
	dialer, breaker := &dialer{tls: options.TLS}, &breaker{}
	client := redis.NewClient(&redis.Options{
		Addr:        net.JoinHostPort(options.Host, strconv.Itoa(options.Port)),
		Dialer:      dialer.dial,
		Username:    options.User,
		Password:    options.Password.Reveal(),
		DialTimeout: options.dialTimeout(), ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		DialerRetries: 1, MaxRetries: -1,
		PoolSize:              mostConnections,
		ContextTimeoutEnabled: true,
		DisableIdentity:       true,
		Limiter:               breaker,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled, // of a hosted offering only
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

// ErrDown says that the server did not answer a moment ago and is not asked.
var ErrDown = errors.New("the server did not answer a moment ago")

// broken says that the server did not answer. It was not asked, or not waited for, where the client or the breaker gave up.
func broken(err error) bool {
	var answered redis.Error
	return err != nil && !errors.As(err, &answered) && !errors.Is(err, ErrDown) && !errors.Is(err, context.Canceled)
}

// breaker keeps requests from waiting, each of them, for a server that is away: after a failure all commands fail at once
// until the pause is over. Then they try again, and not just one of them: a try takes several commands, as the first
// ones of a connection, the login, are asked about here too.
type breaker struct{ nextTry atomic.Int64 } // Unix time in nanoseconds; 0 while all is well

func (b *breaker) Allow() error {
	if time.Now().UnixNano() < b.nextTry.Load() {
		return ErrDown
	}
	return nil
}

func (b *breaker) ReportResult(err error) {
	switch {
	case broken(err):
		b.open()
	case errors.Is(err, ErrDown), errors.Is(err, context.Canceled), ofServer(err): // tells nothing; failover judges the last
	default:
		b.nextTry.Store(0)
	}
}

func (b *breaker) open() { b.nextTry.Store(time.Now().Add(pause).UnixNano()) }

// silence: each user tells of its failures in its own words.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
