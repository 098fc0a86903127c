package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
)

// dialer opens connections, with TLS if it is configured, and can retire all open ones.
type dialer struct {
	tls        *tls.Config // nil for plain TCP
	generation atomic.Int64
}

// retireOpen stops the use of all connections that are open now: no further command is sent on them.
func (d *dialer) retireOpen() { d.generation.Add(1) }

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

// connection knows the generation it was dialed in. go-redis asks it for its socket before each reuse, to check whether
// it is still open.
type connection struct {
	net.Conn
	dialer     *dialer
	generation int64
}

// SyscallConn returns net.ErrClosed for a retired connection, so that go-redis takes another one.
func (c *connection) SyscallConn() (syscall.RawConn, error) {
	if c.generation < c.dialer.generation.Load() {
		return nil, net.ErrClosed
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SyscallConn()
	}
	return uncheckedSocket{}, nil
}

// uncheckedSocket always looks open and empty. Under TLS, bytes that wait in the socket may belong to TLS itself, so they
// do not mean that the connection is broken.
type uncheckedSocket struct{}

func (uncheckedSocket) Control(func(uintptr)) error    { return nil }
func (uncheckedSocket) Read(func(uintptr) bool) error  { return nil }
func (uncheckedSocket) Write(func(uintptr) bool) error { return nil }
