package redis_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/app/internal/redis"
	"slipway/app/internal/redis/redistest"
)

// fakeRedis implements as much of the protocol as a client needs to connect. It responds OK to every command, and with
// the error of a former primary on connections that are older than the last failover.
type fakeRedis struct {
	t        *testing.T
	listener net.Listener

	mu       sync.Mutex
	accepted int
	demoted  int // the first demoted connections lead to the former primary
	failure  string
}

func startFakeRedis(t *testing.T, settings *tls.Config) *fakeRedis {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if settings != nil {
		listener = tls.NewListener(listener, settings)
	}
	s := &fakeRedis{t: t, listener: listener}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.accepted++
			go s.serve(connection, s.accepted)
			s.mu.Unlock()
		}
	}()
	return s
}

// failOver makes all open connections respond with this error from now on.
func (s *fakeRedis) failOver(failure string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.demoted, s.failure = s.accepted, failure
}

func (s *fakeRedis) serve(connection net.Conn, number int) {
	defer connection.Close()
	lines := bufio.NewReader(connection)
	for {
		command, err := readCommand(lines)
		if err != nil {
			return
		}
		s.mu.Lock()
		response := "+OK\r\n"
		switch {
		case strings.EqualFold(command, "hello"):
			response = "-ERR unknown command\r\n"
		case strings.EqualFold(command, "slow"):
			time.AfterFunc(100*time.Millisecond, func() { io.WriteString(connection, "+OK\r\n") })
			response = ""
		case number <= s.demoted:
			response = "-" + s.failure + "\r\n"
		}
		s.mu.Unlock()
		io.WriteString(connection, response)
	}
}

func readCommand(lines *bufio.Reader) (name string, err error) {
	count, err := readNumber(lines)
	for i := range count {
		if _, err = readNumber(lines); err != nil {
			return "", err
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		if i == 0 {
			name = strings.TrimSpace(line)
		}
	}
	return name, err
}

func readNumber(lines *bufio.Reader) (int, error) {
	line, err := lines.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

func (s *fakeRedis) options() redis.Options {
	host, port, _ := net.SplitHostPort(s.listener.Addr().String())
	number, _ := strconv.Atoi(port)
	return redis.Options{Host: host, Port: number}
}

// fillPool makes the client open all connections of its pool.
func fillPool(t *testing.T, client *redis.Client) {
	t.Helper()
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if err := client.Do(t.Context(), "slow").Err(); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
}

// certificate returns a server configuration with a certificate for 127.0.0.1, and a pool that trusts it.
func certificate(t *testing.T) (server *tls.Config, trusted *x509.CertPool) {
	t.Helper()
	https := httptest.NewTLSServer(nil)
	t.Cleanup(https.Close)
	trusted = x509.NewCertPool()
	trusted.AddCert(https.Certificate())
	return &tls.Config{Certificates: https.TLS.Certificates}, trusted
}

func TestNoCommandFailsOnOldConnectionsAfterAFailover(t *testing.T) {
	settings, trusted := certificate(t)
	for name, transport := range map[string]struct{ server, client *tls.Config }{
		"plain": {nil, nil}, "TLS": {settings, &tls.Config{RootCAs: trusted, ServerName: "127.0.0.1"}},
	} {
		for _, failure := range []string{
			"READONLY You can't write against a read only replica.",
			"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
			"LOADING Redis is loading the dataset in memory",
			"CLUSTERDOWN The cluster is down",
			"DEMOTED an error of a future version",
		} {
			t.Run(name+" "+failure[:8], func(t *testing.T) {
				s := startFakeRedis(t, transport.server)
				options := s.options()
				options.TLS = transport.client
				client := redis.Open(options)
				defer client.Close()
				fillPool(t, client)
				s.failOver(failure)
				for number := range 50 {
					if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
						t.Fatalf("command %d: %v", number, err)
					}
				}
			})
		}
	}
}

func TestAWrongCommandKeepsTheConnections(t *testing.T) {
	s := startFakeRedis(t, nil)
	client := redis.Open(s.options())
	defer client.Close()
	fillPool(t, client)
	s.failOver("WRONGTYPE Operation against a key holding the wrong kind of value")
	for range 10 {
		if err := client.Set(t.Context(), "k", "v", 0).Err(); err == nil {
			t.Error("no error")
		}
	}
	if s.accepted != s.demoted {
		t.Errorf("%d connections were opened", s.accepted-s.demoted)
	}
}

func TestAServerWithAnUntrustedCertificateIsRefused(t *testing.T) {
	settings, _ := certificate(t)
	options := startFakeRedis(t, settings).options()
	options.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
	client := redis.Open(options)
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

func TestAReadOnlyReplicaIsNotContactedForAMomentAndUsedAgainOncePromoted(t *testing.T) {
	client, _ := redistest.Client(t)
	admin, _ := redistest.Client(t)
	t.Cleanup(func() { admin.ReplicaOf(context.WithoutCancel(t.Context()), "NO", "ONE") })
	if err := admin.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("got %v", err)
	}
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err == nil || fmt.Sprint(err) != redis.ErrDown.Error() {
		t.Errorf("the replica was contacted again: %v", err)
	}
	if err := admin.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Error(err)
	}
}
