package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"slipway/app/internal/admin"
	"slipway/app/internal/cache"
	"slipway/app/internal/config"
	"slipway/app/internal/limit"
	"slipway/app/internal/logging"
	"slipway/app/internal/metrics"
	"slipway/app/internal/recount"
	"slipway/app/internal/redis"
	"slipway/app/internal/store"
	"slipway/app/internal/store/mysql"
)

const (
	storeCheckInterval = time.Second
	// migrateWait is for a server that starts together with the Job that migrates it.
	migrateWait = time.Minute
)

// backends is what the API keeps its data in, and what it shares with other replicas.
type backends struct {
	store    store.Store
	announce func(context.Context, store.Change) error
	limiter  *limit.Limiter
	work     func(context.Context) // in the background, until ctx ends
	closers  []func() error
}

// openBackends connects to nothing: who is away now may come back.
func openBackends(cfg config.Config, logger *slog.Logger, m *metrics.Metrics) (b backends, err error) {
	if err := b.openStore(cfg, logger); err != nil {
		return b, err
	}
	if cfg.Env.RedisHost == "" {
		b.announce, b.limiter, b.work = b.store.Recount, limit.New(nil, m), func(context.Context) {}
		return b, nil
	}
	secured, err := cfg.Env.RedisTLS()
	if err != nil {
		return b, err
	}
	client := redis.Open(redis.Options{
		Host: cfg.Env.RedisHost, Port: int(cfg.Env.RedisPort),
		User: cfg.Env.RedisUser, Password: cfg.Secrets.RedisPassword, TLS: secured,
	})
	b.closers = append(b.closers, client.Close)
	b.store = cache.New(b.store, client, m)
	queue := recount.New(client, b.store, m, logger)
	b.announce, b.limiter, b.work = queue.Announce, limit.New(client, m), queue.Work
	return b, nil
}

// openStore takes the embedded store where no server is named.
func (b *backends) openStore(cfg config.Config, logger *slog.Logger) error {
	if cfg.Env.MySQLHost == "" {
		logger.Warn("MYSQL_HOST is not set: everything is kept in the memory of this process and does not outlive it")
		b.store = &store.Memory{}
		return nil
	}
	options, err := mysqlOptions(cfg)
	if err != nil {
		return err
	}
	opened, err := mysql.Open(options)
	if err != nil {
		return err
	}
	b.store = opened
	b.closers = append(b.closers, opened.Close)
	return nil
}

func (b *backends) close() {
	for _, each := range slices.Backward(b.closers) {
		each()
	}
}

func mysqlOptions(cfg config.Config) (mysql.Options, error) {
	secured, err := cfg.Env.MySQLTLS()
	return mysql.Options{
		Host: cfg.Env.MySQLHost, Port: int(cfg.Env.MySQLPort), Database: cfg.Env.MySQLDatabase,
		User: cfg.Env.MySQLUser, Password: cfg.Secrets.MySQLPassword, TLS: secured,
	}, err
}

// migrate brings the schema up to date. What fails is the error, and the last line of the output.
func migrate(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := loadConfig(getenv)
	if err != nil {
		return err
	}
	if cfg.Env.MySQLHost == "" {
		return errors.New("MYSQL_HOST is not set: there is no schema to migrate")
	}
	options, err := mysqlOptions(cfg)
	if err != nil {
		return err
	}
	logger := logging.New(stdout, string(cfg.Env.LogFormat), cfg.File.LogLevel.Slog())
	return mysql.Migrate(ctx, options, mysql.Migrations(), migrateWait, logger)
}

// watchStore keeps readiness in step with the store until ctx ends.
func watchStore(ctx context.Context, kept store.Store, health *admin.Health, logger *slog.Logger) {
	ticks := time.NewTicker(storeCheckInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			checkStore(ctx, kept, health, logger)
		}
	}
}

func checkStore(ctx context.Context, kept store.Store, health *admin.Health, logger *slog.Logger) {
	err := kept.Check(ctx)
	if ctx.Err() != nil || !health.StoreWorks(err == nil) {
		return
	}
	if err != nil {
		logger.Error("the store cannot be used: not ready", "error", err)
	} else {
		logger.Info("the store can be used again")
	}
}
