package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"slipway/app/internal/store/mysql"
)

const (
	cleanupEvery = 10 * time.Minute
	cleanupBatch = 1000
)

// cleanUp removes idempotency keys that have expired, until ctx ends.
func cleanUp(ctx context.Context, kept *mysql.Store, logger *slog.Logger) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(cleanupEvery/2 + rand.N(cleanupEvery)): // replicas take turns
			removeExpired(ctx, kept, logger)
		}
	}
}

// removeExpired removes them in small transactions, which keep nobody waiting.
func removeExpired(ctx context.Context, kept *mysql.Store, logger *slog.Logger) {
	for removed := int64(cleanupBatch); removed == cleanupBatch; {
		var err error
		if removed, err = kept.RemoveExpiredKeys(ctx, cleanupBatch); err != nil && ctx.Err() == nil {
			logger.WarnContext(ctx, "expired idempotency keys are not removed", "error", err)
		}
	}
}
