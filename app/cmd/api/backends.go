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
	// migrateWait is how long `api migrate` waits for a MySQL server that starts at the same time as the migration Job.
	migrateWait = time.Minute
)

// Background tasks use this part of MYSQL_CONNECTIONS, with a longer timeout than requests.
const (
	taskConnections = 2
	taskTimeout     = 30 * time.Second
)

// backends are the store of the API, and what it shares with other replicas.
type backends struct {
	store    store.Store
	announce func(context.Context, store.Change) error
	limiter  *limit.Limiter
	tasks    []func(context.Context) // run in the background until their context ends
	closers  []func() error
}

// openBackends creates the backends without connecting: a server that is unavailable now may come back.
func openBackends(cfg config.Config, logger *slog.Logger, m *metrics.Metrics) (b backends, err error) {
	if cfg.Env.MySQLHost == "" {
		logger.Warn("MYSQL_HOST is not set: all data is kept in memory and lost when this process ends")
		b.store = &store.Memory{}
		b.announce, b.limiter = b.store.Recount, limit.New(nil, m)
		m.ExportPools(nil, nil)
		return b, nil
	}
	requests, background, err := b.openMySQL(cfg, m)
	if err != nil {
		return b, err
	}
	m.ExportPools(requests.Pool(), background.Pool())
	b.tasks = append(b.tasks, func(ctx context.Context) { removeExpiredKeys(ctx, background, logger) })
	if cfg.Env.RedisHost == "" {
		b.store, b.announce, b.limiter = requests, requests.Recount, limit.New(nil, m)
		b.tasks = append(b.tasks, recount.NewSweeper(background, background, m, logger).Work)
		return b, nil
	}
	client, err := b.openRedis(cfg)
	if err != nil {
		return b, err
	}
	cached, counter := cache.New(requests, client, m), cache.New(background, client, m)
	queue := recount.New(client, counter, cached, m, logger)
	b.store, b.announce, b.limiter = cached, queue.Announce, limit.New(client, m)
	b.tasks = append(b.tasks, queue.Work, queue.MeasureBacklog, recount.NewSweeper(background, counter, m, logger).Work)
	return b, nil
}

// openMySQL opens one connection pool for requests and one for background tasks, which may take longer and must not take
// connections from requests.
func (b *backends) openMySQL(cfg config.Config, m *metrics.Metrics) (requests, background *mysql.Store, err error) {
	options, err := mysqlOptions(cfg)
	if err != nil {
		return nil, nil, err
	}
	options.Connections = int(cfg.Env.MySQLConnections) - taskConnections
	options.Slow, options.OnSlow = time.Duration(cfg.Env.MySQLSlowQuery), m.Slow.WithLabelValues(metrics.RequestPool).Inc
	if requests, err = mysql.Open(options); err != nil {
		return nil, nil, err
	}
	b.closers = append(b.closers, requests.Close)
	options.Connections, options.Timeout = taskConnections, taskTimeout
	options.OnSlow = m.Slow.WithLabelValues(metrics.BackgroundPool).Inc
	if background, err = mysql.Open(options); err != nil {
		return nil, nil, err
	}
	b.closers = append(b.closers, background.Close)
	return requests, background, nil
}

func (b *backends) openRedis(cfg config.Config) (*redis.Client, error) {
	tlsConfig, err := cfg.Env.RedisTLS()
	if err != nil {
		return nil, err
	}
	client := redis.Open(redis.Options{
		Host: cfg.Env.RedisHost, Port: int(cfg.Env.RedisPort),
		User: cfg.Env.RedisUser, Password: cfg.Secrets.RedisPassword, TLS: tlsConfig,
	})
	b.closers = append(b.closers, client.Close)
	return client, nil
}

func (b *backends) close() {
	for _, closeBackend := range slices.Backward(b.closers) {
		closeBackend()
	}
}

func mysqlOptions(cfg config.Config) (mysql.Options, error) {
	tlsConfig, err := cfg.Env.MySQLTLS()
	return mysql.Options{
		Host: cfg.Env.MySQLHost, Port: int(cfg.Env.MySQLPort), Database: cfg.Env.MySQLDatabase,
		User: cfg.Env.MySQLUser, Password: cfg.Secrets.MySQLPassword, TLS: tlsConfig,
	}, err
}

// migrate brings the schema up to date.
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
	logger := logging.New(stdout, string(cfg.Env.LogFormat), cfg.File.LogLevel.Slog(), processName(apiService, cfg))
	return mysql.Migrate(ctx, options, mysql.Migrations(), migrateWait, logger)
}

// watchStore updates the readiness as the store becomes unusable or usable, until ctx ends.
func watchStore(ctx context.Context, st store.Store, health *admin.Health, logger *slog.Logger) {
	ticks := time.NewTicker(storeCheckInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			checkStore(ctx, st, health, logger)
		}
	}
}

func checkStore(ctx context.Context, st store.Store, health *admin.Health, logger *slog.Logger) {
	err := st.Check(ctx)
	if ctx.Err() != nil || !health.SetStoreUsable(err == nil) {
		return
	}
	if err != nil {
		logger.Error("the store cannot be used: not ready", "error", err)
	} else {
		logger.Info("the store can be used again")
	}
}
