package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"slipway/app/internal/admin"
	"slipway/app/internal/config"
	"slipway/app/internal/httpserver"
	"slipway/app/internal/logging"
	"slipway/app/internal/metrics"
	"slipway/app/internal/reload"
	"slipway/app/internal/tracing"
)

const (
	configPollInterval = 10 * time.Second
	// maxHeaderBytes fits the cookies and two addresses of 4 KiB, one of them in Referer; Go accepts 4 KiB more than
	// this. A higher limit would cost memory: tiny headers take twenty times their bytes for as long as a client takes to
	// send them.
	maxHeaderBytes = 8 << 10
)

// process holds what both servers, API and web, have in common.
type process struct {
	cfg         config.Config
	logger      *slog.Logger
	metrics     *metrics.Metrics
	live        *reload.Live
	health      *admin.Health
	traces      trace.TracerProvider
	stopTracing func()
}

// newProcess creates the common parts of a server. The service is its name in log lines and traces, unless the
// environment gives another one.
func newProcess(ctx context.Context, service string, cfg config.Config, stdout io.Writer) (*process, error) {
	var level slog.LevelVar
	name := processName(service, cfg)
	logger := logging.New(stdout, string(cfg.Env.LogFormat), &level, name)
	counters := metrics.New(version)
	live := reload.New(cfg, func(file config.File) { level.Set(file.LogLevel.Slog()) }, logger, counters)
	traces, stopTracing, err := tracing.Start(ctx, string(cfg.Env.TracesEndpoint), float64(cfg.Env.TracesRatio), name, logger)
	return &process{cfg, logger, counters, live, &admin.Health{}, traces, stopTracing}, err
}

func processName(service string, cfg config.Config) logging.Process {
	return logging.Process{Service: cmp.Or(cfg.Env.ServiceName, service), Environment: cfg.Env.Environment, Version: version}
}

// file returns the reloadable configuration in force.
func (p *process) file() config.File { return p.live.Current().File }

func (p *process) options() httpserver.Options {
	return httpserver.Options{
		TrustedProxies: p.cfg.Env.TrustedProxies.Forwarded(),
		Draining:       p.health.Draining,
		MaxBodyBytes:   int64(p.cfg.Env.MaxBodyBytes),
		Tracing:        p.traces,
		Logger:         p.logger,
		Metrics:        p.metrics,
	}
}

// serve serves the handler on the public port until ctx ends, and the admin port beside it.
func (p *process) serve(ctx context.Context, handler http.Handler) error {
	defer inBackground(func(ctx context.Context) { p.live.Watch(ctx, configPollInterval) })()
	public := newServer(p.cfg.Env, p.logger, handler)
	adminServer := newServer(p.cfg.Env, p.logger, admin.New(p.health, p.metrics, p.cfg, p.live))
	return serveUntil(ctx, public, adminServer, p.health, p.cfg.Env, p.logger)
}

// inBackground starts the tasks. stop cancels their context and waits for them.
func inBackground(tasks ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, task := range tasks {
		running.Go(func() { task(ctx) })
	}
	return func() { cancel(); running.Wait() }
}

// serveUntil serves both ports until ctx has ended and the last public request is finished.
func serveUntil(ctx context.Context, public, adminServer *http.Server, health *admin.Health, env config.Env, logger *slog.Logger) error {
	failed := make(chan error, 2)
	adminAddress, err := start(adminServer, "ADMIN_PORT", env.AdminPort, failed)
	if err != nil {
		return err
	}
	// Probes and metrics are served until the last request is finished.
	defer adminServer.Close()
	publicAddress, err := start(public, "HTTP_PORT", env.HTTPPort, failed)
	if err != nil {
		return err
	}
	defer public.Close()
	health.Ready()
	logger.Info("serving", "http", publicAddress, "admin", adminAddress)

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return drain(public, health, env, logger)
	}
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

// start listens before it returns, so that a port in use is an error at startup.
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

// drain shuts the public server down without losing a request. Kubernetes removes a pod from its endpoints at the same
// time as it sends SIGTERM, not before. New requests therefore still arrive for a moment and are served; then the running
// ones may finish. See https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
func drain(public *http.Server, health *admin.Health, env config.Env, logger *slog.Logger) error {
	health.Drain()
	logger.Info("draining", "delay", env.DrainDelay, "timeout", env.ShutdownTimeout)
	time.Sleep(time.Duration(env.DrainDelay))

	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(env.ShutdownTimeout))
	defer cancel()
	if err := public.Shutdown(ctx); err != nil {
		return fmt.Errorf("requests were aborted: they were still running after SHUTDOWN_TIMEOUT (%s)", env.ShutdownTimeout)
	}
	logger.Info("stopped")
	return nil
}
