// Package admin is the port for the platform: probes, metrics, configuration. It must not be reachable from outside.
package admin

import (
	"encoding/json"
	"net/http"

	"slipway/app/internal/config"
	"slipway/app/internal/metrics"
	"slipway/app/internal/reload"
)

// New routes the admin port.
func New(health *Health, m *metrics.Metrics, cfg config.Config, live *reload.Live) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", livez)
	mux.HandleFunc("GET /startupz", health.startupz)
	mux.HandleFunc("GET /readyz", health.readyz)
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) {
		current := live.Current()
		cfg := cfg
		cfg.File = current.File
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		json.NewEncoder(w).Encode(struct {
			Generation int `json:"generation"`
			config.Config
		}{current.Generation, cfg})
	})
	return mux
}
