package main

import (
	"context"
	"log/slog"
	"time"

	"slipway/app/internal/store"
)

// sweepInterval is short enough for the sweeps to stay small, and long enough to cost nothing.
const sweepInterval = 10 * time.Minute

// sweepSessions deletes sessions that are over until ctx ends. Users who never come back would leave theirs forever.
func sweepSessions(ctx context.Context, kept store.Store, logger *slog.Logger) {
	ticks := time.NewTicker(sweepInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if err := kept.SweepSessions(ctx); err != nil && ctx.Err() == nil {
				logger.Warn("sessions that are over were not deleted", "error", err)
			}
		}
	}
}
