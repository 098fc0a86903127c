package main

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"slipway/app/internal/store"
)

// brokenOnce is a store whose first sweep fails.
type brokenOnce struct {
	store.Memory
	sweeps int
}

func (b *brokenOnce) SweepSessions(ctx context.Context) error {
	if b.sweeps++; b.sweeps == 1 {
		return store.ErrUnavailable
	}
	return b.Memory.SweepSessions(ctx)
}

func TestSessionsAreSweptAgainAndAgainAlsoAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		kept := &brokenOnce{}
		go sweepSessions(ctx, kept, slog.New(slog.DiscardHandler))
		time.Sleep(3*sweepInterval + time.Second)
		cancel()
		synctest.Wait()
		if kept.sweeps != 3 {
			t.Errorf("swept %d times", kept.sweeps)
		}
	})
}
