package httpserver

import (
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"sync/atomic"

	"slipway/app/internal/metrics"
)

// ErrBusy is returned when a body is read while the bodies of all running requests together are too large.
var ErrBusy = errors.New("too many request bodies at this moment")

// bodyBudget limits the memory of all request bodies that are read at the same time.
type bodyBudget struct {
	left    atomic.Int64 // bytes
	metrics *metrics.Metrics
}

// newBodyBudget allows a sixteenth of GOMEMLIMIT, because a decoded body takes several times its size, and at most 32
// MiB.
func newBodyBudget(m *metrics.Metrics) *bodyBudget {
	b, budget := &bodyBudget{metrics: m}, min(debug.SetMemoryLimit(-1)/16, 32<<20)
	b.left.Store(budget)
	m.BodyBudget.Set(float64(budget))
	return b
}

// body charges the budget for the bytes that were read, not for those that were announced, so that slow clients do not
// use it up.
type body struct {
	io.ReadCloser
	budget *bodyBudget
	read   int64
}

func (b *body) Read(content []byte) (int, error) {
	n, err := b.ReadCloser.Read(content)
	b.read += int64(n)
	b.budget.metrics.BodyBytes.Add(float64(n))
	if b.budget.left.Add(-int64(n)) < 0 {
		b.budget.metrics.Overloads.WithLabelValues("bodies").Inc()
		return n, ErrBusy
	}
	return n, err
}

func (b *body) release() {
	b.budget.left.Add(b.read)
	b.budget.metrics.BodyBytes.Sub(float64(b.read))
}

// limitBody limits the size of each body and of all bodies together. It wraps observe, because MaxBytesReader closes the
// connection of a request that is too large only if it gets the server's own ResponseWriter.
func (o Options) limitBody(next http.Handler) http.Handler {
	budget := newBodyBudget(o.Metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counted := &body{ReadCloser: http.MaxBytesReader(w, r.Body, o.MaxBodyBytes), budget: budget}
		defer counted.release()
		r.Body = counted
		next.ServeHTTP(w, r)
	})
}

// ReadBody returns the body of a request. It returns an http.MaxBytesError if the body is larger than limit, or ErrBusy.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	return io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
}
