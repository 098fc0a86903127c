// Package metrics defines all Prometheus series of this program in one place, so that their names and labels stay
// consistent.
package metrics

import (
	"database/sql"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the program's own series. The registry also has those of the Go runtime and the process.
type Metrics struct {
	registry *prometheus.Registry

	Requests   *prometheus.CounterVec   // by method, route, code
	Durations  *prometheus.HistogramVec // by method, route, code
	InFlight   prometheus.Gauge
	Panics     prometheus.Counter
	Reloads    *prometheus.CounterVec // by result: success, error
	Generation prometheus.Gauge
	Cache      *prometheus.CounterVec // by kind: shop, leaders; result: hit, miss, keep, forget, error
	Limited    *prometheus.CounterVec // by where: shared, local; result: allowed, refused
	Recounts   *prometheus.CounterVec // by result: queued, direct, overdue, done, failed
	Logins     *prometheus.CounterVec // by result: succeeded, failed, throttled
	Overloads  *prometheus.CounterVec // by what was overloaded: bodies, passwords
	BodyBytes  prometheus.Gauge
	BodyBudget prometheus.Gauge
	Slow       *prometheus.CounterVec // by db_name: requests, background
	Backlog    prometheus.Gauge
}

// New registers all series, so that those at zero are exported as well.
func New(version string) *Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	factory := promauto.With(registry)
	request := []string{"method", "route", "code"}
	m := &Metrics{
		registry: registry,
		Requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Finished requests, by route pattern.",
		}, request),
		Durations: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time to the end of the response, by route pattern.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, request),
		InFlight: factory.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_in_flight", Help: "Requests that are running now.",
		}),
		Panics: factory.NewCounter(prometheus.CounterOpts{
			Name: "app_panics_total", Help: "Requests that ended in a panic.",
		}),
		Reloads: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "app_config_reloads_total", Help: "Changes of the config file: put in force (success) or refused (error).",
		}, []string{"result"}),
		Generation: factory.NewGauge(prometheus.GaugeOpts{
			Name: "app_config_generation", Help: "Number of the configuration in force; 1 is the one read at startup.",
		}),
	}
	m.Cache = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "app_cache_operations_total", Help: "Cache operations, by kind of entry.",
	}, []string{"kind", "result"})
	m.Limited = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "app_rate_limit_decisions_total", Help: "Requests allowed or refused by the limit that all replicas share, or by the local one.",
	}, []string{"where", "result"})
	m.Recounts = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "app_recounts_total", Help: "Changes queued, counted without the queue (direct), counted from it (done), or failed.",
	}, []string{"result"})
	m.Logins = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "app_login_attempts_total", Help: "Passwords that were right or wrong, and attempts refused unchecked after too many wrong ones.",
	}, []string{"result"})
	m.Overloads = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "app_overloads_total", Help: "Requests refused with 503 because too many bodies were being read or passwords hashed.",
	}, []string{"what"})
	m.BodyBytes = factory.NewGauge(prometheus.GaugeOpts{
		Name: "app_request_body_bytes", Help: "Bytes of request bodies that running requests have read.",
	})
	m.BodyBudget = factory.NewGauge(prometheus.GaugeOpts{
		Name: "app_request_body_budget_bytes", Help: "Value of app_request_body_bytes above which requests are refused with 503.",
	})
	m.Slow = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "app_slow_queries_total", Help: "Statements and transactions that took longer than MYSQL_SLOW_QUERY, by pool.",
	}, []string{"db_name"})
	m.Backlog = factory.NewGauge(prometheus.GaugeOpts{
		Name: "app_recount_backlog", Help: "Changes in the queue that are not recounted yet. Replicas share the queue: take the maximum, not the sum.",
	})
	m.declareKnown()
	factory.NewGaugeVec(prometheus.GaugeOpts{
		Name: "app_build_info", Help: "Always 1; the labels name the running version.",
	}, []string{"version", "goversion"}).WithLabelValues(version, runtime.Version()).Set(1)
	return m
}

// declareKnown creates all series whose labels are known in advance, at zero: rates and alerts would miss the first
// increase of a series that appears with it.
func (m *Metrics) declareKnown() {
	declare(m.Reloads, nil, "success", "error")
	declare(m.Cache, []string{"shop"}, "hit", "miss", "keep", "forget", "error")
	declare(m.Cache, []string{"leaders"}, "hit", "miss", "keep", "error")
	declare(m.Limited, []string{"shared"}, "allowed", "refused")
	declare(m.Limited, []string{"local"}, "allowed", "refused")
	declare(m.Recounts, nil, "queued", "direct", "done", "failed", "overdue")
	declare(m.Logins, nil, "succeeded", "failed", "throttled")
	declare(m.Overloads, nil, "bodies", "passwords")
	declare(m.Slow, nil, RequestPool, BackgroundPool)
}

// declare creates a series for each value of the last label.
func declare(counter *prometheus.CounterVec, labels []string, values ...string) {
	for _, value := range values {
		counter.WithLabelValues(append(slices.Clip(labels), value)...)
	}
}

// DeclareRoute creates the series of a route, such as "GET /version", for these status codes. It creates durations only
// for codes of success, because each of them takes fifteen series.
func (m *Metrics) DeclareRoute(pattern string, codes ...string) {
	method, route, _ := strings.Cut(pattern, " ")
	for _, code := range codes {
		m.Requests.WithLabelValues(method, route, code)
		if code < "400" {
			m.Durations.WithLabelValues(method, route, code)
		}
	}
}

// The label db_name of the pools of connections to MySQL.
const (
	RequestPool    = "requests"
	BackgroundPool = "background"
)

// ExportPools exports the go_sql_* series of both pools. A nil pool, of a process without MySQL, exports zeros.
func (m *Metrics) ExportPools(requests, background *sql.DB) {
	for name, pool := range map[string]*sql.DB{RequestPool: requests, BackgroundPool: background} {
		if pool == nil {
			pool = &sql.DB{} // its statistics are all zero
		}
		m.registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
}

// Handler serves the series to Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
