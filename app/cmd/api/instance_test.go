package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// instance is a running server, API or web, on ports of its own.
type instance struct {
	t          *testing.T
	api, admin string // host:port
	stop       context.CancelFunc
	done       chan error
	log        *logBuffer
}

// startAPI runs the API in this process and waits until it serves.
func startAPI(t *testing.T, environment ...string) *instance {
	t.Helper()
	return startCommand(t, []string{"api"}, environment)
}

func startCommand(t *testing.T, args, environment []string) *instance {
	t.Helper()
	r := &instance{t: t, log: newLogBuffer()}
	r.start(args, environment)
	r.waitUntilServing()
	return r
}

// start runs a command in this process until the test ends.
func (r *instance) start(args, environment []string) {
	ctx, stop := context.WithCancel(r.t.Context())
	r.stop, r.done = stop, make(chan error, 1)
	environment = append(environment, "HTTP_PORT=0", "ADMIN_PORT=0")
	getenv := func(name string) string {
		for _, variable := range environment {
			if value, found := strings.CutPrefix(variable, name+"="); found {
				return value
			}
		}
		return ""
	}
	var finished sync.WaitGroup
	finished.Go(func() { r.done <- run(ctx, args, getenv, r.log) })
	r.t.Cleanup(finished.Wait)
	r.t.Cleanup(stop)
}

// waitUntilServing reads the addresses from the log, and checks that the server is ready.
func (r *instance) waitUntilServing() {
	r.t.Helper()
	line := r.log.waitFor(r.t, "serving")
	r.api = localhost(line["http"])
	r.admin = localhost(line["admin"])
	if got := r.probe("readyz"); got != http.StatusOK {
		r.t.Fatalf("serving, but /readyz responds %d", got)
	}
}

func localhost(address any) string {
	_, port, _ := net.SplitHostPort(fmt.Sprint(address))
	return "127.0.0.1:" + port
}

// probe returns the status of a path of the admin port.
func (r *instance) probe(name string) (status int) {
	r.t.Helper()
	response, err := http.Get("http://" + r.admin + "/" + name)
	if err != nil {
		r.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func (r *instance) get(address, path string) (body string, header http.Header) {
	r.t.Helper()
	response, err := http.Get("http://" + address + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(content), response.Header
}

// wait waits until run returns, and returns its error.
func (r *instance) wait() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(10 * time.Second):
		r.t.Fatal("the server does not end")
		return nil
	}
}

// dial opens a connection and sends the beginning of a request.
func (r *instance) dial(request string) net.Conn {
	r.t.Helper()
	connection, err := net.Dial("tcp", r.api)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { connection.Close() })
	connection.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(connection, request); err != nil {
		r.t.Fatal(err)
	}
	return connection
}

// logBuffer collects JSON log lines and lets a test wait for one.
type logBuffer struct {
	mu      sync.Mutex
	lines   []map[string]any
	arrived chan struct{}
}

func newLogBuffer() *logBuffer { return &logBuffer{arrived: make(chan struct{}, 1)} }

func (l *logBuffer) Write(content []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(content) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			return 0, err
		}
		l.lines = append(l.lines, fields)
	}
	select {
	case l.arrived <- struct{}{}:
	default:
	}
	return len(content), nil
}

// waitFor returns the first line with this message.
func (l *logBuffer) waitFor(t *testing.T, message string) map[string]any {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		i := slices.IndexFunc(l.lines, func(line map[string]any) bool { return line["msg"] == message })
		lines := slices.Clone(l.lines)
		l.mu.Unlock()
		if i >= 0 {
			return lines[i]
		}
		select {
		case <-l.arrived:
		case <-timeout:
			t.Fatalf("%q is not logged, only %v", message, lines)
		}
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// post sends JSON, and returns the decoded body of a 201.
func (r *instance) post(path, body, token string) (fields map[string]any) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), "POST", "http://"+r.api+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&fields); response.StatusCode != http.StatusCreated || err != nil {
		r.t.Fatalf("POST %s: %d %v %v", path, response.StatusCode, fields, err)
	}
	return fields
}

// signIn adds a user and returns an access token.
func (r *instance) signIn() (token string) {
	r.t.Helper()
	r.post("/v1/users", `{"name": "Ada", "email": "ada@example.org", "password": "correct horse"}`, "")
	return fmt.Sprint(r.post("/v1/sessions", `{"email": "ada@example.org", "password": "correct horse"}`, "")["accessToken"])
}
