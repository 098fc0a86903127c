package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
)

// dialer opens connections, with TLS if it is configured, and can have all that are open taken out of use.
type dialer struct {
	tls        *tls.Config // nil: without
	generation atomic.Int64
}

// abandonOpen has no command sent any more on connections that are open now.
func (d *dialer) abandonOpen() { d.generation.Add(1) }

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	generation := d.generation.Load()
	opened, err := (&net.Dialer{}).DialContext(ctx, network, address) // go-redis limits ctx to DialTimeout
	if err != nil {
		return nil, err
	}
	if d.tls == nil {
		return &connection{opened, d, generation}, nil
	}
	secured := tls.Client(opened, d.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		opened.Close()
		return nil, err
	}
	return &connection{secured, d, generation}, nil
}

// connection is asked by go-redis for its socket before it is used again, to look whether it is still open.
type connection struct {
	net.Conn
	dialer     *dialer
	generation int64
}

// SyscallConn answers that an abandoned connection is closed, so that go-redis takes another one.
func (c *connection) SyscallConn() (syscall.RawConn, error) {
	if c.generation < c.dialer.generation.Load() {
		return nil, net.ErrClosed
	}
	if plain, is := c.Conn.(*net.TCPConn); is {
		return plain.SyscallConn()
	}
	return unread{}, nil
}

// unread is a socket that nobody looks into: what is there to read under TLS may belong to TLS itself.
type unread struct{}

func (unread) Control(func(uintptr)) error    { return nil }
func (unread) Read(func(uintptr) bool) error  { return nil }
func (unread) Write(func(uintptr) bool) error { return nil }
