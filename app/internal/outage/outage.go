// Package outage lets tests simulate network failures between a client and a server. Only tests import it.
package outage

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Proxy forwards TCP connections to a server. Tests can close, freeze and restore them.
type Proxy struct {
	t       *testing.T
	address string
	target  string

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn // both sides of each connection
	frozen   bool
	accepted int // connections accepted so far
	hung     int // the first hung connections forward nothing any more
}

// NewProxy starts a proxy to the server at target. It forwards until Cut, Freeze or FailOver is called.
func NewProxy(t *testing.T, target string) *Proxy {
	t.Helper()
	proxy := &Proxy{t: t, target: target, address: "127.0.0.1:0"}
	proxy.Restore()
	proxy.address = proxy.listener.Addr().String()
	t.Cleanup(proxy.Cut)
	return proxy
}

// Host returns the host that clients connect to instead of the server's.
func (p *Proxy) Host() string { return "127.0.0.1" }

// Port returns the port that clients connect to. It does not change when the proxy is cut and restored.
func (p *Proxy) Port() int {
	_, port, _ := net.SplitHostPort(p.address)
	number, _ := strconv.Atoi(port)
	return number
}

// Cut closes all connections and refuses new ones, like a stopped server.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns, p.hung = nil, 0
}

// FailOver makes the open connections hang while new ones work, as after a failover from a server that lost power.
func (p *Proxy) FailOver() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hung = p.accepted
}

// Freeze makes all connections hang, like a network that drops every packet.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
}

// Restore makes new connections work again.
func (p *Proxy) Restore() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
	}
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.listener, p.frozen = listener, false
	go p.accept(listener)
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		if p.listener != listener { // Cut was called in between
			p.mu.Unlock()
			client.Close()
			server.Close()
			return
		}
		p.conns = append(p.conns, client, server)
		p.accepted++
		number := p.accepted
		p.mu.Unlock()
		go p.forward(number, client, server)
		go p.forward(number, server, client)
	}
}

// forward copies what from sends to to. While the connection hangs, it keeps what it has read.
func (p *Proxy) forward(number int, from, to net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		for p.hangs(number) {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil && err != io.EOF {
			return
		}
	}
}

// hangs reports whether connection number forwards nothing.
func (p *Proxy) hangs(number int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen || number <= p.hung
}
