package redis

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"slipway/app/internal/tracing"
)

// tracer makes each command a span. Keys and values do not get in.
type tracer struct{}

func (tracer) DialHook(next redis.DialHook) redis.DialHook { return next }

func (tracer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		ctx, end := tracing.Call(ctx, "redis", command.FullName())
		err := next(ctx, command)
		end(failure(err))
		return err
	}
}

func (tracer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		ctx, end := tracing.Call(ctx, "redis", "pipeline")
		err := next(ctx, commands)
		end(failure(err))
		return err
	}
}

// failure takes "there is no such key" for an answer.
func failure(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
