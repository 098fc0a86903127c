package main

import (
	"context"
	"log/slog"
	"time"

	"slipway/app/internal/store"
)

// sessionCleanupInterval is short enough to keep each cleanup small, and long enough for its cost not to matter.
const sessionCleanupInterval = 10 * time.Minute

// removeExpiredSessions periodically deletes expired sessions, until ctx ends. Nothing else deletes those of users who
// never come back.
func removeExpiredSessions(ctx context.Context, st store.Store, logger *slog.Logger) {
	ticks := time.NewTicker(sessionCleanupInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if err := st.DeleteExpiredSessions(ctx); err != nil && ctx.Err() == nil {
				logger.Warn("expired sessions were not deleted", "error", err)
			}
		}
	}
}
