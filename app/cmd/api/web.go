package main

import (
	"context"
	"errors"
	"io"

	"slipway/app/internal/web"
)

// serveWeb runs the web pages until ctx ends. They are ready without the API, because an error page explains its absence.
func serveWeb(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := loadConfig(getenv)
	if err != nil {
		return err
	}
	if cfg.Env.APIURL == "" {
		return errors.New("API_URL is not set: `api web` needs the address of the API, for example http://api:80")
	}
	p, err := newProcess(ctx, "slipway-web", cfg, stdout)
	if err != nil {
		return err
	}
	defer p.stopTracing()
	return p.serve(ctx, web.New(web.Options{Options: p.options(), API: string(cfg.Env.APIURL), File: p.file}))
}
