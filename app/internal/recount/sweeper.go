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
	sweepInterval = 5 * time.Second
	// maxWarnings is how many failures of one change are logged as warnings. The next ones are errors.
	maxWarnings = 3
)

// Backlog is the part of a store that knows which changes were not recounted in time.
type Backlog interface {
	// Overdue returns changes for the caller to recount. No other caller gets them for some time.
	Overdue(ctx context.Context, limit int) ([]store.Overdue, error)
}

// Sweeper recounts changes that neither their request nor the queue recounted: the process may have ended, Redis may have
// lost the change, or the recount failed.
type Sweeper struct {
	backlog Backlog
	counter Counter
	metrics *metrics.Metrics
	logger  *slog.Logger
}

// NewSweeper returns a sweeper that recounts with counter. Any number of replicas may sweep the same backlog.
func NewSweeper(backlog Backlog, counter Counter, m *metrics.Metrics, logger *slog.Logger) *Sweeper {
	return &Sweeper{backlog, counter, m, logger}
}

// Work sweeps until ctx ends.
func (s *Sweeper) Work(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(sweepInterval/2 + rand.N(sweepInterval)): // random, so that replicas take turns
			s.sweep(ctx)
		}
	}
}

// sweep recounts until nothing is overdue. If the store is unavailable, the next sweep continues.
func (s *Sweeper) sweep(ctx context.Context) {
	for more := true; more && ctx.Err() == nil; {
		overdue, err := s.backlog.Overdue(ctx, batch)
		if err != nil {
			s.logger.WarnContext(ctx, "overdue recounts cannot be read", "error", err)
			return
		}
		for _, change := range overdue {
			if ctx.Err() == nil {
				s.recount(ctx, change)
			}
		}
		more = len(overdue) > 0
	}
}

// recount recounts one change and reports a failure.
func (s *Sweeper) recount(ctx context.Context, overdue store.Overdue) {
	s.metrics.Recounts.WithLabelValues("overdue").Inc()
	err := s.counter.Recount(ctx, overdue.Change)
	switch {
	case err == nil, isStale(err):
		s.metrics.Recounts.WithLabelValues("done").Inc()
		return
	case ctx.Err() != nil: // the process stops: another replica continues
		return
	}
	s.metrics.Recounts.WithLabelValues("failed").Inc()
	level := slog.LevelWarn
	if overdue.Tries >= maxWarnings {
		level = slog.LevelError
	}
	s.logger.Log(ctx, level, "a recount failed and is postponed", "shop", overdue.Change.Shop, "review", overdue.Change.Review,
		"tries", overdue.Tries+1, "error", err)
}
