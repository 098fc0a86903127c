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

// workConnections is the part of MYSQL_CONNECTIONS that counts behind the requests, each count within workTimeout.
const (
	workConnections = 2
	workTimeout     = 30 * time.Second
)

// backends is what the API keeps its data in, and what it shares with other replicas.
type backends struct {
	store    store.Store
	announce func(context.Context, store.Change) error
	limiter  *limit.Limiter
	work     []func(context.Context) // in the background, until ctx ends
	closers  []func() error
}

// openBackends connects to nothing: who is away now may come back.
func openBackends(cfg config.Config, logger *slog.Logger, m *metrics.Metrics) (b backends, err error) {
	if cfg.Env.MySQLHost == "" {
		logger.Warn("MYSQL_HOST is not set: everything is kept in the memory of this process and does not outlive it")
		b.store = &store.Memory{}
		b.announce, b.limiter = b.store.Recount, limit.New(nil, m)
		return b, nil
	}
	requests, counting, err := b.openMySQL(cfg)
	if err != nil {
		return b, err
	}
	b.work = append(b.work, func(ctx context.Context) { cleanUp(ctx, counting, logger) })
	if cfg.Env.RedisHost == "" {
		b.store, b.announce, b.limiter = requests, requests.Recount, limit.New(nil, m)
		b.work = append(b.work, recount.NewSweeper(counting, counting, m, logger).Work)
		return b, nil
	}
	client, err := b.openRedis(cfg)
	if err != nil {
		return b, err
	}
	cached, counter := cache.New(requests, client, m), cache.New(counting, client, m)
	queue := recount.New(client, counter, cached, m, logger)
	b.store, b.announce, b.limiter = cached, queue.Announce, limit.New(client, m)
	b.work = append(b.work, queue.Work, recount.NewSweeper(counting, counter, m, logger).Work)
	return b, nil
}

// openMySQL opens one pool for requests and one for what counts behind them, which may take longer and must not keep
// requests waiting for a connection.
func (b *backends) openMySQL(cfg config.Config) (requests, counting *mysql.Store, err error) {
	options, err := mysqlOptions(cfg)
	if err != nil {
		return nil, nil, err
	}
	options.Connections = int(cfg.Env.MySQLConnections) - workConnections
	if requests, err = mysql.Open(options); err != nil {
		return nil, nil, err
	}
	b.closers = append(b.closers, requests.Close)
	options.Connections, options.Timeout = workConnections, workTimeout
	if counting, err = mysql.Open(options); err != nil {
		return nil, nil, err
	}
	b.closers = append(b.closers, counting.Close)
	return requests, counting, nil
}

func (b *backends) openRedis(cfg config.Config) (*redis.Client, error) {
	secured, err := cfg.Env.RedisTLS()
	if err != nil {
		return nil, err
	}
	client := redis.Open(redis.Options{
		Host: cfg.Env.RedisHost, Port: int(cfg.Env.RedisPort),
		User: cfg.Env.RedisUser, Password: cfg.Secrets.RedisPassword, TLS: secured,
	})
	b.closers = append(b.closers, client.Close)
	return client, nil
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
