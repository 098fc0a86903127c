package admin

import (
	"io"
	"net/http"
	"sync/atomic"
)

// Health is the state of the process that probes report: starting (the zero value), ready or draining. While the store
// cannot be used, the process is not ready.
type Health struct {
	phase     atomic.Int32
	storeDown atomic.Bool
}

const (
	starting int32 = iota
	ready
	draining
)

// Ready marks the process as able to serve requests. It does nothing once the process drains.
func (h *Health) Ready() { h.phase.CompareAndSwap(starting, ready) }

// Drain marks the process as shutting down, so that it gets no new traffic.
func (h *Health) Drain() { h.phase.Store(draining) }

// SetStoreUsable records whether the store can be used, and reports whether that has changed.
func (h *Health) SetStoreUsable(usable bool) (changed bool) {
	return h.storeDown.Swap(!usable) == usable
}

// Draining reports whether Drain was called.
func (h *Health) Draining() bool { return h.phase.Load() == draining }

// livez responds 200 as long as the process can respond at all. It checks no backend: otherwise one slow database would
// restart every pod.
func livez(w http.ResponseWriter, _ *http.Request) { answer(w, true, "alive") }

// startupz responds 200 once the process has started, and from then on.
func (h *Health) startupz(w http.ResponseWriter, _ *http.Request) {
	answer(w, h.phase.Load() != starting, h.word())
}

// readyz responds 200 while the process should get traffic.
func (h *Health) readyz(w http.ResponseWriter, _ *http.Request) {
	if h.phase.Load() == ready && h.storeDown.Load() {
		answer(w, false, "the store cannot be used")
		return
	}
	answer(w, h.phase.Load() == ready, h.word())
}

func (h *Health) word() string { return [...]string{"starting", "ready", "draining"}[h.phase.Load()] }

func answer(w http.ResponseWriter, ok bool, word string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	io.WriteString(w, word+"\n")
}
