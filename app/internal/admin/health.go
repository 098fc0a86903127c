package admin

import (
	"io"
	"net/http"
	"sync/atomic"
)

// Health is where the process is in its life: starting (zero value), ready, draining. While its store cannot be used
// it is not ready.
type Health struct {
	phase   atomic.Int32
	noStore atomic.Bool
}

const (
	starting int32 = iota
	ready
	draining
)

// Ready says that requests can be served from now on.
func (h *Health) Ready() { h.phase.CompareAndSwap(starting, ready) }

// Drain says that no new traffic shall come.
func (h *Health) Drain() { h.phase.Store(draining) }

// StoreWorks says whether the store can be used. It tells whether that is new.
func (h *Health) StoreWorks(works bool) (changed bool) { return h.noStore.Swap(!works) == works }

// Draining is true from Drain on.
func (h *Health) Draining() bool { return h.phase.Load() == draining }

// livez answers "shall I be restarted?": never, as long as there is an answer. No backend may fail it,
// or one slow database would restart every pod.
func livez(w http.ResponseWriter, _ *http.Request) { answer(w, true, "alive") }

// startupz answers "has it started?": once yes, always yes.
func (h *Health) startupz(w http.ResponseWriter, _ *http.Request) {
	answer(w, h.phase.Load() != starting, h.word())
}

// readyz answers "shall it get traffic?".
func (h *Health) readyz(w http.ResponseWriter, _ *http.Request) {
	if h.phase.Load() == ready && h.noStore.Load() {
		answer(w, false, "the store cannot be used")
		return
	}
	answer(w, h.phase.Load() == ready, h.word())
}

func (h *Health) word() string { return [...]string{"starting", "ready", "draining"}[h.phase.Load()] }

func answer(w http.ResponseWriter, good bool, word string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	io.WriteString(w, word+"\n")
}
