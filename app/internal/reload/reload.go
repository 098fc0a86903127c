// Package reload keeps the reloadable part of the configuration current while the program runs.
package reload

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"slipway/app/internal/config"
	"slipway/app/internal/metrics"
)

// Live is the config file in force. A file with a mistake never gets in: it is logged, counted and kept out.
type Live struct {
	env     config.Env
	apply   func(config.File)
	logger  *slog.Logger
	metrics *metrics.Metrics

	current   atomic.Pointer[Snapshot]
	lastError string // what was wrong with the file last time: one bad file is reported once
}

// Snapshot is one state of the file. It never changes, so a request that took one sees no half of a change.
type Snapshot struct {
	config.File
	Generation int
}

// New puts the file read at the start in force. Apply is called with it, and with each one that replaces it.
func New(cfg config.Config, apply func(config.File), logger *slog.Logger, m *metrics.Metrics) *Live {
	live := &Live{env: cfg.Env, apply: apply, logger: logger, metrics: m}
	live.swap(Snapshot{cfg.File, 1})
	return live
}

// Current is the file in force.
func (l *Live) Current() *Snapshot { return l.current.Load() }

// Watch reads the file again whenever it may have changed, until ctx ends.
//
// It watches the folder, not the file: Kubernetes swaps the symlink ..data beside it. And it polls, because a watch
// gets lost when the folder itself is replaced, or when the node has no inotify watches left.
func (l *Live) Watch(ctx context.Context, pollInterval time.Duration) {
	if l.env.ConfigFile == "" {
		return
	}
	changes, closeWatch := l.watchFolder()
	defer closeWatch()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	settled := time.NewTimer(0) // at once: the file may have changed since the start
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			// An editor empties a file before it writes it: let the burst end, to never read the state between.
			settled.Reset(100 * time.Millisecond)
		case <-settled.C:
			l.reload()
		case <-poll.C:
			l.reload()
		}
	}
}

// watchFolder sends for each change in the folder. When it cannot be watched nothing is sent: polling has to do then.
func (l *Live) watchFolder() (changes <-chan fsnotify.Event, closeWatch func()) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		l.logger.Warn("config folder is only polled", "error", err)
		return nil, func() {}
	}
	if err := watcher.Add(filepath.Dir(l.env.ConfigFile)); err != nil {
		l.logger.Warn("config folder is only polled", "error", err)
	}
	go func() {
		// Nobody reading the errors would stop the events.
		for err := range watcher.Errors {
			l.logger.Warn("config folder watch", "error", err)
		}
	}()
	return watcher.Events, func() { watcher.Close() }
}

func (l *Live) reload() {
	file, err := l.env.ReadFile()
	if err != nil {
		l.keepOut(err)
		return
	}
	l.lastError = ""
	current := l.Current()
	if file == current.File {
		return
	}
	l.swap(Snapshot{file, current.Generation + 1})
	l.metrics.Reloads.WithLabelValues("success").Inc()
	l.logger.Info("config reloaded", "generation", current.Generation+1)
}

func (l *Live) keepOut(err error) {
	if err.Error() == l.lastError {
		return
	}
	l.lastError = err.Error()
	l.metrics.Reloads.WithLabelValues("error").Inc()
	l.logger.Error("config not reloaded, the one before stays in force", "error", err, "generation", l.Current().Generation)
}

func (l *Live) swap(next Snapshot) {
	l.current.Store(&next)
	l.apply(next.File)
	l.metrics.Generation.Set(float64(next.Generation))
}
