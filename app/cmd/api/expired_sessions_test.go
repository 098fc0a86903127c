package main

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"slipway/app/internal/store"
)

// failingOnce is a store whose first cleanup fails.
type failingOnce struct {
	store.Memory
	cleanups int
}

func (s *failingOnce) DeleteExpiredSessions(ctx context.Context) error {
	if s.cleanups++; s.cleanups == 1 {
		return store.ErrUnavailable
	}
	return s.Memory.DeleteExpiredSessions(ctx)
}

func TestExpiredSessionsAreRemovedPeriodicallyEvenAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		st := &failingOnce{}
		go removeExpiredSessions(ctx, st, slog.New(slog.DiscardHandler))
		time.Sleep(3*sessionCleanupInterval + time.Second)
		cancel()
		synctest.Wait()
		if st.cleanups != 3 {
			t.Errorf("cleaned up %d times", st.cleanups)
		}
	})
}
