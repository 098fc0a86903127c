// Package ports makes a Service answer on an address of the node: what a cloud's load balancer does elsewhere.
package ports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const dialTimeout = 5 * time.Second

// Main is the command `ports`; each argument is one address and what answers there, as in 127.0.0.1:443=10.96.0.20:443.
// It ends with ctx; connections that are open then are cut.
func Main(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: ports ADDRESS:PORT=ADDRESS:PORT ...")
	}
	var listeners []net.Listener
	defer func() {
		for _, listener := range listeners {
			listener.Close()
		}
	}()
	targets := make([]string, len(args))
	for i, arg := range args {
		address, target, found := strings.Cut(arg, "=")
		if !found {
			return fmt.Errorf("%q: give ADDRESS:PORT=ADDRESS:PORT", arg)
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		listeners, targets[i] = append(listeners, listener), target
	}
	for i, listener := range listeners {
		go serve(listener, targets[i])
	}
	<-ctx.Done()
	return nil
}

func serve(listener net.Listener, target string) {
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // out of file descriptors, say: it passes
			continue
		}
		go forward(client, target)
	}
}

// forward gives each side what the other one sends, and its end. A Service without a pod that is ready refuses.
func forward(client net.Conn, target string) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", target, dialTimeout)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() { pass(server, client) })
	both.Go(func() { pass(client, server) })
	both.Wait()
}

// pass tells `to` the end of `from`, and no more: the answer may still be on its way. A broken side ends both.
func pass(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		from.Close()
		to.Close()
		return
	}
	to.(*net.TCPConn).CloseWrite()
}
