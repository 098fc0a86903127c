package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"slipway/app/internal/store/mysql"
)

const (
	keyCleanupInterval = 10 * time.Minute
	keyCleanupBatch    = 1000
)

// removeExpiredKeys periodically removes expired idempotency keys, until ctx ends.
func removeExpiredKeys(ctx context.Context, db *mysql.Store, logger *slog.Logger) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(keyCleanupInterval/2 + rand.N(keyCleanupInterval)): // random, so that replicas take turns
			removeKeyBatches(ctx, db, logger)
		}
	}
}

// removeKeyBatches removes expired keys in small transactions, so that requests do not wait for their locks.
func removeKeyBatches(ctx context.Context, db *mysql.Store, logger *slog.Logger) {
	for removed := int64(keyCleanupBatch); removed == keyCleanupBatch; {
		var err error
		if removed, err = db.RemoveExpiredKeys(ctx, keyCleanupBatch); err != nil && ctx.Err() == nil {
			logger.WarnContext(ctx, "expired idempotency keys were not removed", "error", err)
		}
	}
}
