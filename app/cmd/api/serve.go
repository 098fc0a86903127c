package main

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"

	"slipway/app/internal/api"
	"slipway/app/internal/config"
)

// apiService is the name of the API in log lines and traces.
const apiService = "slipway-api"

// serve runs the API until ctx ends.
func serve(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := loadConfig(getenv)
	if err != nil {
		return err
	}
	p, err := newProcess(ctx, apiService, cfg, stdout)
	if err != nil {
		return err
	}
	defer p.stopTracing()
	backends, err := openBackends(cfg, p.logger, p.metrics)
	if err != nil {
		return err
	}
	defer backends.close()
	defer inBackground(append(backends.tasks,
		func(ctx context.Context) { watchStore(ctx, backends.store, p.health, p.logger) },
		func(ctx context.Context) { removeExpiredSessions(ctx, backends.store, p.logger) },
	)...)()
	checkStore(ctx, backends.store, p.health, p.logger)
	return p.serve(ctx, api.New(api.Options{
		Options:     p.options(),
		Store:       backends.store,
		Announce:    backends.announce,
		Limiter:     backends.limiter,
		SigningKeys: signingKeys(cfg.Secrets, p.logger),
		File:        p.file,
		Version:     version,
		Environment: cfg.Env.Environment,
	}))
}

// signingKeys returns the current signing key and then the previous one, if it is set. Without any it generates a key,
// which is enough for a single process on a developer's machine.
func signingKeys(secrets config.Secrets, logger *slog.Logger) []config.Secret {
	switch none := (config.Secret{}); {
	case secrets.SigningKey == none:
		logger.Warn("SECRETS_DIR is not set: cursors and tokens are signed with a generated key and become invalid when this process ends")
		return []config.Secret{config.NewSecret(rand.Text())}
	case secrets.SigningKeyPrevious == none:
		return []config.Secret{secrets.SigningKey}
	}
	return []config.Secret{secrets.SigningKey, secrets.SigningKeyPrevious}
}
