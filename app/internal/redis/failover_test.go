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

// server speaks as much of the protocol as a client needs to connect. It answers every command with OK, and on connections
// that are older than a failover with the words of a former primary.
type server struct {
	t        *testing.T
	listener net.Listener

	mu       sync.Mutex
	accepted int
	demoted  int // so many connections, the first ones, lead to the former primary
	words    string
}

func serve(t *testing.T, settings *tls.Config) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if settings != nil {
		listener = tls.NewListener(listener, settings)
	}
	s := &server{t: t, listener: listener}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.accepted++
			go s.answer(connection, s.accepted)
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *server) failOver(words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.demoted, s.words = s.accepted, words
}

func (s *server) answer(connection net.Conn, number int) {
	defer connection.Close()
	lines := bufio.NewReader(connection)
	for {
		command, err := readCommand(lines)
		if err != nil {
			return
		}
		s.mu.Lock()
		answer := "+OK\r\n"
		switch {
		case strings.EqualFold(command, "hello"):
			answer = "-ERR unknown command\r\n"
		case strings.EqualFold(command, "slow"):
			time.AfterFunc(100*time.Millisecond, func() { io.WriteString(connection, "+OK\r\n") })
			answer = ""
		case number <= s.demoted:
			answer = "-" + s.words + "\r\n"
		}
		s.mu.Unlock()
		io.WriteString(connection, answer)
	}
}

func readCommand(lines *bufio.Reader) (name string, err error) {
	count, err := readNumber(lines)
	for at := range count {
		if _, err = readNumber(lines); err != nil {
			return "", err
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		if at == 0 {
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

func (s *server) options() redis.Options {
	host, port, _ := net.SplitHostPort(s.listener.Addr().String())
	number, _ := strconv.Atoi(port)
	return redis.Options{Host: host, Port: number}
}

// fillPool has the client open all its connections.
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

// certified has a certificate for 127.0.0.1, and who trusts it.
func certified(t *testing.T) (ofServer *tls.Config, trusting *x509.CertPool) {
	t.Helper()
	model := httptest.NewTLSServer(nil)
	t.Cleanup(model.Close)
	trusting = x509.NewCertPool()
	trusting.AddCert(model.Certificate())
	return &tls.Config{Certificates: model.TLS.Certificates}, trusting
}

func TestAfterAFailoverNoCommandFailsBecauseOfOldConnections(t *testing.T) {
	settings, trusting := certified(t)
	for name, each := range map[string]struct{ server, client *tls.Config }{
		"plain": {nil, nil}, "TLS": {settings, &tls.Config{RootCAs: trusting, ServerName: "127.0.0.1"}},
	} {
		for _, words := range []string{
			"READONLY You can't write against a read only replica.",
			"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
			"LOADING Redis is loading the dataset in memory",
			"CLUSTERDOWN The cluster is down",
			"DEMOTED words of a server to come",
		} {
			t.Run(name+" "+words[:8], func(t *testing.T) {
				s := serve(t, each.server)
				options := s.options()
				options.TLS = each.client
				client := redis.Open(options)
				defer client.Close()
				fillPool(t, client)
				s.failOver(words)
				for number := range 50 {
					if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
						t.Fatalf("command %d: %v", number, err)
					}
				}
			})
		}
	}
}

func TestACommandThatIsWrongKeepsTheConnections(t *testing.T) {
	s := serve(t, nil)
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

func TestAServerWithoutTheRightCertificateIsNotTrusted(t *testing.T) {
	settings, _ := certified(t)
	options := serve(t, settings).options()
	options.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
	client := redis.Open(options)
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

func TestAReplicaIsLeftAloneForAMomentAndUsedOnceItIsPrimary(t *testing.T) {
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
		t.Errorf("it was asked again: %v", err)
	}
	if err := admin.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Error(err)
	}
}
