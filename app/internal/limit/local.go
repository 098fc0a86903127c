package limit

import (
	"sync"
	"time"
)

// mostClients bounds the memory: beyond it everybody starts anew.
const mostClients = 50_000

// local does what Redis does, for this process.
type local struct {
	mu      sync.Mutex
	clients map[string]time.Time // where each one's time is, or until when it is exempt
}

func (l *local) take(client string, rate Rate, now time.Time) (allowed bool, ahead time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.makeRoom(now)
	ahead = max(l.clients[client].Sub(now), 0) + rate.share()
	if ahead > rate.Window {
		return false, ahead
	}
	l.clients[client] = now.Add(ahead)
	return true, ahead
}

func (l *local) forget(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clients, client)
}

func (l *local) exempt(client string, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.makeRoom(time.Now())
	l.clients["exempt:"+client] = until
}

func (l *local) isExempt(client string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clients["exempt:"+client].After(now)
}

// makeRoom keeps those who are ahead of the clock, unless all are.
func (l *local) makeRoom(now time.Time) {
	if l.clients != nil && len(l.clients) < mostClients {
		return
	}
	kept := map[string]time.Time{}
	for client, at := range l.clients {
		if at.After(now) {
			kept[client] = at
		}
	}
	if len(kept) >= mostClients {
		clear(kept)
	}
	l.clients = kept
}
