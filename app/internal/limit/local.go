package limit

import (
	"sync"
	"time"
)

// mostClients bounds the memory: beyond it everybody starts anew.
const mostClients = 100_000

// local does what the script does, for this process.
type local struct {
	mu      sync.Mutex
	clients map[string]time.Time // where each one's time is
}

func (l *local) take(client string, share time.Duration, now time.Time) (allowed bool, ahead time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients == nil || len(l.clients) >= mostClients {
		l.forget(now)
	}
	ahead = max(l.clients[client].Sub(now), 0) + share
	if ahead > Window {
		return false, ahead
	}
	l.clients[client] = now.Add(ahead)
	return true, ahead
}

// forget keeps those who are ahead of the clock, unless all are.
func (l *local) forget(now time.Time) {
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
