package redis

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// commandErrors holds the prefixes of errors about a single command: it is malformed, or not possible with this key or
// for this user. All other prefixes, including unknown ones, are about the server: READONLY, LOADING, MASTERDOWN and so
// on.
var commandErrors = map[string]bool{
	"ERR": true, "WRONGTYPE": true, "NOSCRIPT": true, "BUSYGROUP": true, "NOGROUP": true, "EXECABORT": true,
	"NOPERM": true, "OOM": true,
}

// isServerError reports whether the server responded that it cannot serve any command now.
func isServerError(err error) bool {
	var redisErr redis.Error
	if !errors.As(err, &redisErr) || errors.Is(err, redis.Nil) || errors.Is(err, redis.TxFailedErr) {
		return false
	}
	prefix, _, _ := strings.Cut(redisErr.Error(), " ")
	return !commandErrors[prefix]
}

// failover is a hook that switches to a new connection when the server responds but cannot serve commands. After a
// failover, open connections still lead to the former primary; only new ones reach the server that took over. The former
// primary has not executed the command, so it is safe to send it again. If that fails in the same way, the breaker opens.
type failover struct {
	dialer  *dialer
	breaker *breaker
}

func (failover) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f failover) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		return f.run(func() error { return next(ctx, command) })
	}
}

func (f failover) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		return f.run(func() error { return next(ctx, commands) })
	}
}

// run executes a command, and once more on a new connection if the server cannot serve it.
func (f failover) run(execute func() error) error {
	err := execute()
	switch {
	case isUnreachable(err) && !errors.Is(err, redis.ErrPoolTimeout): // a pool timeout means that all connections are busy, not broken
		f.dialer.retireOpen()
	case isServerError(err):
		f.dialer.retireOpen()
		if err = execute(); isServerError(err) {
			f.dialer.retireOpen()
			f.breaker.open()
		}
	}
	return err
}
