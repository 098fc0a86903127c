package ports

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// listen starts a server that reads each connection to its end and answers in capitals.
func listen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				sent, _ := io.ReadAll(connection)
				io.WriteString(connection, strings.ToUpper(string(sent)))
			}()
		}
	}()
	return listener.Addr().String()
}

// free returns an address on which nothing listens.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

// start runs the program until the test ends, and returns a channel with its result.
func start(t *testing.T, args ...string) (stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- Main(ctx, args) }()
	t.Cleanup(cancel)
	return cancel, result
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	for range 100 {
		if connection, err := net.Dial("tcp", address); err == nil {
			t.Cleanup(func() { connection.Close() })
			connection.SetDeadline(time.Now().Add(10 * time.Second))
			return connection.(*net.TCPConn)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s", address)
	return nil
}

func TestTheAnswerArrivesAfterTheClientHasClosedItsSide(t *testing.T) {
	address := free(t)
	stop, ended := start(t, address+"="+listen(t))
	connection := dial(t, address)
	io.WriteString(connection, "hello")
	connection.CloseWrite()
	if answer, err := io.ReadAll(connection); string(answer) != "HELLO" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAConnectionWithoutATargetIsClosed(t *testing.T) {
	address := free(t)
	start(t, address+"="+free(t))
	if answer, _ := io.ReadAll(dial(t, address)); len(answer) != 0 {
		t.Errorf("%q", answer)
	}
}

func TestATakenPortIsReported(t *testing.T) {
	taken := listen(t)
	if err := Main(t.Context(), []string{taken + "=127.0.0.1:1"}); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("got %v", err)
	}
}

func TestAnArgumentWithoutATargetIsAnError(t *testing.T) {
	for _, args := range [][]string{nil, {"127.0.0.1:0"}} {
		if err := Main(t.Context(), args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
