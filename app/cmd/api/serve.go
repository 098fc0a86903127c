package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"slipway/app/internal/admin"
	"slipway/app/internal/api"
	"slipway/app/internal/config"
	"slipway/app/internal/logging"
	"slipway/app/internal/metrics"
	"slipway/app/internal/reload"
	"slipway/app/internal/tracing"
)

const (
	configPollInterval = 10 * time.Second
	maxHeaderBytes     = 32 << 10
)

// serve wires everything together and runs it until ctx ends.
func serve(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := loadConfig(getenv)
	if err != nil {
		return err
	}
	var level slog.LevelVar
	logger := logging.New(stdout, string(cfg.Env.LogFormat), &level)
	counters := metrics.New(version)
	live := reload.New(cfg, func(file config.File) { level.Set(file.LogLevel.Slog()) }, logger, counters)
	health := &admin.Health{}

	traces, stopTracing, err := tracing.Start(ctx, string(cfg.Env.TracesEndpoint), version, cfg.Env.Environment, logger)
	if err != nil {
		return err
	}
	defer stopTracing()
	backends, err := openBackends(cfg, logger, counters)
	if err != nil {
		return err
	}
	defer backends.close()
	defer inBackground(
		func(ctx context.Context) { live.Watch(ctx, configPollInterval) },
		func(ctx context.Context) { watchStore(ctx, backends.store, health, logger) },
		backends.work,
	)()
	public := newServer(cfg.Env, logger, api.New(api.Options{
		Store:          backends.store,
		Announce:       backends.announce,
		Limiter:        backends.limiter,
		TrustedProxies: int(cfg.Env.TrustedProxies),
		SigningKeys:    signingKeys(cfg.Secrets, logger),
		File:           func() config.File { return live.Current().File },
		Draining:       health.Draining,
		MaxBodyBytes:   int64(cfg.Env.MaxBodyBytes),
		Version:        version,
		Environment:    cfg.Env.Environment,
		Tracing:        traces,
		Logger:         logger,
		Metrics:        counters,
	}))
	private := newServer(cfg.Env, logger, admin.New(health, counters, cfg, live))
	checkStore(ctx, backends.store, health, logger)
	return serveUntil(ctx, public, private, health, cfg.Env, logger)
}

// inBackground runs the tasks until stop is called, which waits for them.
func inBackground(tasks ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, task := range tasks {
		running.Go(func() { task(ctx) })
	}
	return func() { cancel(); running.Wait() }
}

// serveUntil answers on both ports until ctx ends and the last request is answered.
func serveUntil(ctx context.Context, public, private *http.Server, health *admin.Health, env config.Env, logger *slog.Logger) error {
	failed := make(chan error, 2)
	privateAddress, err := start(private, "ADMIN_PORT", env.AdminPort, failed)
	if err != nil {
		return err
	}
	// Probes and metrics are answered until the last request is.
	defer private.Close()
	publicAddress, err := start(public, "HTTP_PORT", env.HTTPPort, failed)
	if err != nil {
		return err
	}
	defer public.Close()
	health.Ready()
	logger.Info("serving", "version", version, "environment", env.Environment, "http", publicAddress, "admin", privateAddress)

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return drain(public, health, env, logger)
	}
}

// signingKeys makes one up where none is given, which is fine for a single process on a developer's machine.
func signingKeys(secrets config.Secrets, logger *slog.Logger) []config.Secret {
	switch none := (config.Secret{}); {
	case secrets.SigningKey == none:
		logger.Warn("SECRETS_DIR is not set: cursors and tokens are signed with a key of this process and do not outlive it")
		return []config.Secret{config.NewSecret(rand.Text())}
	case secrets.SigningKeyPrevious == none:
		return []config.Secret{secrets.SigningKey}
	}
	return []config.Secret{secrets.SigningKey, secrets.SigningKeyPrevious}
}

func newServer(env config.Env, logger *slog.Logger, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Duration(env.ReadHeaderTimeout),
		ReadTimeout:       time.Duration(env.ReadTimeout),
		WriteTimeout:      time.Duration(env.WriteTimeout),
		IdleTimeout:       time.Duration(env.IdleTimeout),
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// start listens before it returns, so that a taken port is an error of the start.
func start(server *http.Server, name string, port config.Port, failed chan<- error) (address string, err error) {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("%s: %w", name, err)
		}
	}()
	return listener.Addr().String(), nil
}

// drain leaves without losing a request. Kubernetes takes a pod out of its endpoints while it tells it to stop, not
// before: requests still come for a moment, and are served. Then the running ones may finish.
// See https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
func drain(public *http.Server, health *admin.Health, env config.Env, logger *slog.Logger) error {
	health.Drain()
	logger.Info("draining", "delay", env.DrainDelay, "timeout", env.ShutdownTimeout)
	time.Sleep(time.Duration(env.DrainDelay))

	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(env.ShutdownTimeout))
	defer cancel()
	if err := public.Shutdown(ctx); err != nil {
		return fmt.Errorf("requests were cut off: they still ran after SHUTDOWN_TIMEOUT (%s)", env.ShutdownTimeout)
	}
	logger.Info("stopped")
	return nil
}
