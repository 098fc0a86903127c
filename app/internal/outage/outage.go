// Package outage lets a test cut the line to a server.
package outage

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Line passes connections on to a server until it is cut.
type Line struct {
	t       *testing.T
	address string
	target  string

	mu       sync.Mutex
	listener net.Listener
	ends     []net.Conn
	frozen   bool
	accepted int // connections so far
	silenced int // so many of them, the first ones, hang
}

// To is a line to the server at this address. It works until it is cut.
func To(t *testing.T, target string) *Line {
	t.Helper()
	line := &Line{t: t, target: target, address: "127.0.0.1:0"}
	line.Mend()
	line.address = line.listener.Addr().String()
	t.Cleanup(line.Cut)
	return line
}

// Host and Port are where to connect to instead of to the server.
func (l *Line) Host() string { return "127.0.0.1" }

// Port stays the same when the line is cut and mended.
func (l *Line) Port() int {
	_, port, _ := net.SplitHostPort(l.address)
	number, _ := strconv.Atoi(port)
	return number
}

// Cut closes all connections and refuses new ones, as a server does that is stopped.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		l.listener.Close()
		l.listener = nil
	}
	for _, end := range l.ends {
		end.Close()
	}
	l.ends, l.silenced = nil, 0
}

// FailOver has the open connections hang, while new ones work, as after a failover from a server that lost its power.
func (l *Line) FailOver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silenced = l.accepted
}

// Freeze lets everything hang, as a network does that loses all packets.
func (l *Line) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = true
}

// Mend makes it work again, for new connections.
func (l *Line) Mend() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		l.listener.Close()
	}
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	l.listener, l.frozen = listener, false
	go l.accept(listener)
}

func (l *Line) accept(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.target)
		if err != nil {
			near.Close()
			continue
		}
		l.mu.Lock()
		if l.listener != listener { // cut meanwhile
			l.mu.Unlock()
			near.Close()
			far.Close()
			return
		}
		l.ends = append(l.ends, near, far)
		l.accepted++
		number := l.accepted
		l.mu.Unlock()
		go l.pass(number, near, far)
		go l.pass(number, far, near)
	}
}

func (l *Line) pass(number int, from, to net.Conn) {
	defer to.Close()
	content := make([]byte, 32<<10)
	for {
		n, err := from.Read(content)
		for l.hangs(number) {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			return
		}
		if _, err := to.Write(content[:n]); err != nil && err != io.EOF {
			return
		}
	}
}

func (l *Line) hangs(number int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frozen || number <= l.silenced
}
