package redis

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"slipway/app/internal/tracing"
)

// tracer is a hook that records a span for each command, without keys and values.
type tracer struct{}

func (tracer) DialHook(next redis.DialHook) redis.DialHook { return next }

func (tracer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		ctx, end := tracing.StartCall(ctx, "redis", command.FullName())
		err := next(ctx, command)
		end(ignoreMissing(err))
		return err
	}
}

func (tracer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		ctx, end := tracing.StartCall(ctx, "redis", "pipeline")
		err := next(ctx, commands)
		end(ignoreMissing(err))
		return err
	}
}

// ignoreMissing treats redis.Nil, a missing key, as an empty result instead of an error.
func ignoreMissing(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
