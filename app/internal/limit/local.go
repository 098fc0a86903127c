package limit

import (
	"sync"
	"time"
)

// maxClients bounds the memory: beyond it, all counts are reset.
const maxClients = 50_000

// local counts requests in the memory of this process.
type local struct {
	mu      sync.Mutex
	clients map[string]time.Time // the time of each client, or the end of its exemption
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

// makeRoom drops the clients that are not ahead of the clock, or all clients if that is not enough.
func (l *local) makeRoom(now time.Time) {
	if l.clients != nil && len(l.clients) < maxClients {
		return
	}
	ahead := map[string]time.Time{}
	for client, at := range l.clients {
		if at.After(now) {
			ahead[client] = at
		}
	}
	if len(ahead) >= maxClients {
		clear(ahead)
	}
	l.clients = ahead
}
