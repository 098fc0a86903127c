// Package reload reads the config file again while the program runs. It decides when to read and what is in force; what
// the file may contain is up to package config.
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

// Live holds the config file in force. An invalid file never comes into force: it is logged and counted.
type Live struct {
	env     config.Env
	apply   func(config.File)
	logger  *slog.Logger
	metrics *metrics.Metrics

	current   atomic.Pointer[Snapshot]
	lastError string // of the last read, so that one invalid file is reported once
}

// Snapshot is one version of the file. It never changes, so that a request that holds one never sees parts of two
// versions.
type Snapshot struct {
	config.File
	Generation int
}

// New puts the file that was read at startup in force. It calls apply with it, and with each version that replaces it.
func New(cfg config.Config, apply func(config.File), logger *slog.Logger, m *metrics.Metrics) *Live {
	live := &Live{env: cfg.Env, apply: apply, logger: logger, metrics: m}
	live.swap(Snapshot{cfg.File, 1})
	return live
}

// Current returns the file in force.
func (l *Live) Current() *Snapshot { return l.current.Load() }

// Watch reads the file again whenever it may have changed, until ctx ends.
//
// It watches the folder, not the file, because Kubernetes swaps the symlink ..data beside the file. It also polls,
// because the watch ends when the folder itself is replaced, and cannot start when the node has no inotify watches left.
func (l *Live) Watch(ctx context.Context, pollInterval time.Duration) {
	if l.env.ConfigFile == "" {
		return
	}
	changes, closeWatch := l.watchFolder()
	defer closeWatch()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	settled := time.NewTimer(0) // fires at once: the file may have changed since startup
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			// Editors truncate a file before they write it: wait until the burst of events ends.
			settled.Reset(100 * time.Millisecond)
		case <-settled.C:
			l.reload()
		case <-poll.C:
			l.reload()
		}
	}
}

// watchFolder returns a channel with an event for each change in the folder. If the folder cannot be watched, the channel
// stays silent and only polling is left.
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
		// fsnotify blocks on unread errors, and sends no further events.
		for err := range watcher.Errors {
			l.logger.Warn("config folder watch", "error", err)
		}
	}()
	return watcher.Events, func() { watcher.Close() }
}

func (l *Live) reload() {
	file, err := l.env.ReadFile()
	if err != nil {
		l.reject(err)
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

// reject reports an invalid file; the version in force stays.
func (l *Live) reject(err error) {
	if err.Error() == l.lastError {
		return
	}
	l.lastError = err.Error()
	l.metrics.Reloads.WithLabelValues("error").Inc()
	l.logger.Error("config not reloaded, the previous one stays in force", "error", err, "generation", l.Current().Generation)
}

// swap puts next in force.
func (l *Live) swap(next Snapshot) {
	l.current.Store(&next)
	l.apply(next.File)
	l.metrics.Generation.Set(float64(next.Generation))
}
