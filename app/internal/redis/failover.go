package redis

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ofCommand are the first words of errors that say that a command is wrong, or cannot be done with this key or by this
// user. All others, and words that we have never heard, are about the server: READONLY, LOADING, MASTERDOWN and so on.
var ofCommand = map[string]bool{
	"ERR": true, "WRONGTYPE": true, "NOSCRIPT": true, "BUSYGROUP": true, "NOGROUP": true, "EXECABORT": true,
	"NOPERM": true, "OOM": true,
}

// ofServer says that the server answered and cannot do its work now, whatever it was asked.
func ofServer(err error) bool {
	var answered redis.Error
	if !errors.As(err, &answered) || errors.Is(err, redis.Nil) || errors.Is(err, redis.TxFailedErr) {
		return false
	}
	word, _, _ := strings.Cut(answered.Error(), " ")
	return !ofCommand[word]
}

// failover leaves a server that answers but cannot do its work. After a failover an old connection stays open and leads to
// the former primary; only a new one leads to the server that took over. Such a server has not done the command, so that
// it can be sent again. If that fails in the same way, all commands fail at once for a moment.
type failover struct {
	dialer  *dialer
	breaker *breaker
}

func (failover) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f failover) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		return f.try(func() error { return next(ctx, command) })
	}
}

func (f failover) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		return f.try(func() error { return next(ctx, commands) })
	}
}

func (f failover) try(do func() error) error {
	err := do()
	switch {
	case broken(err) && !errors.Is(err, redis.ErrPoolTimeout): // all connections are in use, and so work
		f.dialer.abandonOpen()
	case ofServer(err):
		f.dialer.abandonOpen()
		if err = do(); ofServer(err) {
			f.dialer.abandonOpen()
			f.breaker.open()
		}
	}
	return err
}
