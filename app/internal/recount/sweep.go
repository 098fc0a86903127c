package recount

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"slipway/app/internal/metrics"
	"slipway/app/internal/store"
)

const (
	sweepEvery = 5 * time.Second
	// stuckTries is how many recounts of one change fail before that is an error somebody should look at.
	stuckTries = 3
)

// Backlog is the part of a store that remembers which changes were not counted in time.
type Backlog interface {
	// Overdue returns changes for the caller to count, and nobody else for some time.
	Overdue(ctx context.Context, limit int) ([]store.Overdue, error)
}

// Sweeper counts what was not counted by the request that changed it, nor from the queue: the process may have ended in
// between, Redis may have lost it, or counting failed.
type Sweeper struct {
	backlog Backlog
	counter Counter
	metrics *metrics.Metrics
	logger  *slog.Logger
}

// NewSweeper makes a sweeper that counts by counter. Any number of replicas may sweep the same backlog.
func NewSweeper(backlog Backlog, counter Counter, m *metrics.Metrics, logger *slog.Logger) *Sweeper {
	return &Sweeper{backlog, counter, m, logger}
}

// Work sweeps until ctx ends.
func (s *Sweeper) Work(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(sweepEvery/2 + rand.N(sweepEvery)): // replicas take turns
			s.sweep(ctx)
		}
	}
}

// sweep counts until nothing is overdue. If the store is away the next sweep finds the same.
func (s *Sweeper) sweep(ctx context.Context) {
	for more := true; more && ctx.Err() == nil; {
		overdue, err := s.backlog.Overdue(ctx, batch)
		if err != nil {
			s.logger.WarnContext(ctx, "overdue recounts cannot be read", "error", err)
			return
		}
		for _, each := range overdue {
			if ctx.Err() == nil {
				s.count(ctx, each)
			}
		}
		more = len(overdue) > 0
	}
}

func (s *Sweeper) count(ctx context.Context, overdue store.Overdue) {
	s.metrics.Recounts.WithLabelValues("overdue").Inc()
	err := s.counter.Recount(ctx, overdue.Change)
	switch {
	case err == nil, isStale(err):
		s.metrics.Recounts.WithLabelValues("done").Inc()
		return
	case ctx.Err() != nil: // the process stops: another replica goes on
		return
	}
	s.metrics.Recounts.WithLabelValues("failed").Inc()
	level := slog.LevelWarn
	if overdue.Tries >= stuckTries {
		level = slog.LevelError
	}
	s.logger.Log(ctx, level, "a recount failed and is postponed", "shop", overdue.Change.Shop, "review", overdue.Change.Review,
		"tries", overdue.Tries+1, "error", err)
}
