// Package admin serves the admin port: probes, metrics and the effective configuration. Endpoints for the platform belong
// here, never those for users: the port must not be reachable from outside the cluster.
package admin

import (
	"encoding/json"
	"net/http"

	"slipway/app/internal/config"
	"slipway/app/internal/metrics"
	"slipway/app/internal/reload"
)

// New returns the handler of the admin port.
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
