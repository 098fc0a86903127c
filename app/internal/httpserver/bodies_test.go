package httpserver

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"slipway/app/internal/metrics"
)

func TestBodiesInFlightShareABudgetThatEachFreesAtItsEnd(t *testing.T) {
	m := metrics.New("test")
	budget := &bodyBudget{metrics: m}
	budget.left.Store(100)
	read := func(size int) (*body, error) {
		b := &body{ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", size))), budget: budget}
		_, err := io.ReadAll(b)
		return b, err
	}
	first, err := read(60)
	if err != nil {
		t.Fatal(err)
	}
	second, err := read(60)
	if !errors.Is(err, ErrBusy) {
		t.Errorf("120 bytes of 100: %v", err)
	}
	exports(t, m, `app_overloads_total{what="bodies"} 1`, "app_request_body_bytes 120")
	second.release()
	first.release()
	if third, err := read(100); err != nil {
		t.Errorf("after both have ended: %v", err)
	} else if third.release(); budget.left.Load() != 100 {
		t.Errorf("%d bytes of 100 are free", budget.left.Load())
	}
	exports(t, m, "app_request_body_bytes 0")
}

// exports checks that /metrics has these lines.
func exports(t *testing.T, m *metrics.Metrics, lines ...string) {
	t.Helper()
	response := httptest.NewRecorder()
	m.Handler().ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range lines {
		if !strings.Contains(response.Body.String(), "\n"+line+"\n") {
			t.Errorf("%s is not exported", line)
		}
	}
}

func TestTheBudgetOfBodiesIsExported(t *testing.T) {
	m := metrics.New("test")
	newBodyBudget(m)
	exports(t, m, "app_request_body_bytes 0", "app_request_body_budget_bytes 3.3554432e+07")
}

func TestABodyAnnouncedAsTooLargeIsNotRead(t *testing.T) {
	r := httptest.NewRequest("POST", "/", strings.NewReader("123456"))
	var tooLarge *http.MaxBytesError
	if _, err := ReadBody(r, 5); !errors.As(err, &tooLarge) || tooLarge.Limit != 5 {
		t.Errorf("got %v", err)
	}
	if rest, _ := io.ReadAll(r.Body); len(rest) != 6 {
		t.Errorf("%d bytes were read", 6-len(rest))
	}
}
