package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// startStatusServer serves each path with the status in its name, and never responds to /slow.
func startStatusServer(t *testing.T) (address string) {
	t.Helper()
	done := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/200", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.Handle("/302", http.RedirectHandler("/200", http.StatusFound))
	mux.HandleFunc("/slow", func(http.ResponseWriter, *http.Request) { <-done })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(done) })
	return server.URL
}

func TestCheckReportsTheResponse(t *testing.T) {
	address, closed := startStatusServer(t), closedAddress(t)
	for _, test := range []struct {
		name string
		args []string
		want string // "" for no error
	}{
		{name: "200", args: []string{address + "/200"}},
		{name: "any 2xx", args: []string{address + "/204"}},
		{name: "the timeout after the address", args: []string{address + "/200", "--timeout", "5s"}},
		{name: "the timeout before it", args: []string{"--timeout=5s", address + "/200"}},
		{name: "an error of the server", args: []string{address + "/503"}, want: address + "/503: responded 503 Service Unavailable"},
		{name: "a redirect is not followed", args: []string{address + "/302"}, want: "responded 302 Found"},
		{name: "no response in time", args: []string{address + "/slow", "--timeout", "50ms"}, want: address + "/slow: no answer within 50ms"},
		{name: "nothing listens", args: []string{"http://" + closed}, want: "http://" + closed + ": dial tcp " + closed + ": connect: connection refused"},
		{name: "a password is not shown", args: []string{strings.Replace(address, "://", "://user:canary@", 1) + "/503"}, want: "user:xxxxx@"},
		{name: "no address", args: nil, want: "usage: api check URL"},
		{name: "two addresses", args: []string{address, address}, want: "usage: api check URL"},
		{name: "not over HTTP", args: []string{"ftp://localhost/livez"}, want: "usage: api check URL"},
		{name: "no host", args: []string{"http:///livez"}, want: "usage: api check URL"},
		{name: "no scheme", args: []string{"localhost:9090/livez"}, want: "usage: api check URL"},
		{name: "an unknown flag", args: []string{address, "--wait"}, want: "not defined: -wait; usage: api check URL"},
		{name: "a timeout without a unit", args: []string{address, "--timeout", "2"}, want: "usage: api check URL"},
		{name: "no time at all", args: []string{address, "--timeout", "0s"}, want: "--timeout 0s is not greater than 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			started := time.Now()
			err := run(t.Context(), append([]string{"api", "check"}, test.args...), nil, io.Discard)
			if took := time.Since(started); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "canary") {
				t.Errorf("not one line without a password: %q", err)
			}
		})
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := check(ctx, []string{startStatusServer(t) + "/slow", "--timeout", "1m"}); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v", err)
	}
}

// This is the HEALTHCHECK of the image.
func TestTheProgramChecksItself(t *testing.T) {
	r := startAPI(t)
	for path, status := range map[string]int{"/livez": 0, "/nowhere": 1} {
		var stderr bytes.Buffer
		process := program(t, nil, "check", "http://"+r.admin+path)
		process.Stderr = &stderr
		process.Run()
		if got := process.ProcessState.ExitCode(); got != status || (stderr.Len() > 0) != (status == 1) {
			t.Errorf("%s: exit code %d, want %d; stderr: %s", path, got, status, &stderr)
		}
	}
}

func TestCheckUsesNoProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer proxy.Close()
	process := program(t, []string{"HTTP_PROXY=" + proxy.URL}, "check", "http://slipway.invalid/")
	process.Run()
	if got := process.ProcessState.ExitCode(); got != 1 {
		t.Errorf("exit code %d: the proxy was used", got)
	}
}

// closedAddress returns an address where nothing listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
