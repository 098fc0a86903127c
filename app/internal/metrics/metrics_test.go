package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"slipway/app/internal/metrics"
)

func TestSeriesWithKnownLabelsExistBeforeTheirFirstUse(t *testing.T) {
	m := metrics.New("test")
	m.DeclareRoute("GET /version", "200", "500")
	m.ExportPools(nil, nil)
	response := httptest.NewRecorder()
	m.Handler().ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	for _, series := range []string{
		`app_config_reloads_total{result="error"} 0`,
		`app_cache_operations_total{kind="shop",result="forget"} 0`,
		`app_cache_operations_total{kind="leaders",result="error"} 0`,
		`app_rate_limit_decisions_total{result="refused",where="shared"} 0`,
		`app_rate_limit_decisions_total{result="allowed",where="local"} 0`,
		`app_recounts_total{result="failed"} 0`,
		`app_recounts_total{result="overdue"} 0`,
		`app_login_attempts_total{result="throttled"} 0`,
		`app_overloads_total{what="bodies"} 0`,
		`app_overloads_total{what="passwords"} 0`,
		`app_panics_total 0`,
		`app_request_body_bytes 0`,
		`app_slow_queries_total{db_name="requests"} 0`,
		`app_slow_queries_total{db_name="background"} 0`,
		`app_recount_backlog 0`,
		`go_sql_in_use_connections{db_name="requests"} 0`,
		`go_sql_wait_count_total{db_name="background"} 0`,
		`http_requests_total{code="500",method="GET",route="/version"} 0`,
		`http_request_duration_seconds_count{code="200",method="GET",route="/version"} 0`,
	} {
		if !strings.Contains(response.Body.String(), "\n"+series+"\n") {
			t.Errorf("%s is missing", series)
		}
	}
}
