// Package redis opens the memory all replicas share. Everybody who uses it must be able to do without: it may be away.
package redis

import (
	"context"
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

// Options says where the server is. The password may be empty.
type Options struct {
	Host     string
	Port     int
	Password config.Secret
}

const (
	// timeout is far longer than an answer takes, and short enough to wait for in vain.
	timeout         = 200 * time.Millisecond
	mostConnections = 20
	// pause is how long a server is left alone that did not answer.
	pause = time.Second
)

// Open does not connect: a server that is away now may come back.
func Open(options Options) *Client {
	redis.SetLogger(silence{})
	client := redis.NewClient(&redis.Options{
		Addr:        net.JoinHostPort(options.Host, strconv.Itoa(options.Port)),
		Password:    options.Password.Reveal(),
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		DialerRetries: 1, MaxRetries: -1,
		PoolSize:              mostConnections,
		ContextTimeoutEnabled: true,
		DisableIdentity:       true,
		Limiter:               &breaker{},
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled, // of a hosted offering only
		},
	})
	client.AddHook(tracer{})
	return client
}

// ErrDown says that the server did not answer a moment ago and is not asked.
var ErrDown = errors.New("the server did not answer a moment ago")

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
	var answered redis.Error
	switch {
	case err == nil, errors.As(err, &answered):
		b.nextTry.Store(0)
	case errors.Is(err, ErrDown), errors.Is(err, context.Canceled): // not asked, or not waited for: that tells nothing
	default:
		b.nextTry.Store(time.Now().Add(pause).UnixNano())
	}
}

// silence: each user tells of its failures in its own words.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
