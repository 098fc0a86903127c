package httpserver

import (
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"sync/atomic"
)

// ErrBusy is what reading a body returns once the bodies of all running requests together are too large.
var ErrBusy = errors.New("too many request bodies at this moment")

// bodies bounds the memory of all request bodies that are read at the same time.
type bodies struct {
	left atomic.Int64
	busy func() // counts who was sent away
}

// newBodies allows a sixteenth of GOMEMLIMIT, because a decoded body takes several times its size; 32 MiB at most.
func newBodies(busy func()) *bodies {
	b := &bodies{busy: busy}
	b.left.Store(min(debug.SetMemoryLimit(-1)/16, 32<<20))
	return b
}

// body counts the bytes that were read, not those that were announced: slow clients keep nobody else out.
type body struct {
	io.ReadCloser
	all  *bodies
	read int64
}

func (b *body) Read(content []byte) (int, error) {
	n, err := b.ReadCloser.Read(content)
	b.read += int64(n)
	if b.all.left.Add(-int64(n)) < 0 {
		b.all.busy()
		return n, ErrBusy
	}
	return n, err
}

func (b *body) release() { b.all.left.Add(b.read) }

// limitBody comes before observe: MaxBytesReader closes the connection of a too large request only if it gets the
// server's own ResponseWriter.
func (o Options) limitBody(next http.Handler) http.Handler {
	all := newBodies(o.Metrics.Overloads.WithLabelValues("bodies").Inc)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counted := &body{ReadCloser: http.MaxBytesReader(w, r.Body, o.MaxBodyBytes), all: all}
		defer counted.release()
		r.Body = counted
		next.ServeHTTP(w, r)
	})
}

// ReadBody reads the body of a request, or fails with http.MaxBytesError if it is larger than limit, and with ErrBusy.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	return io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
}
