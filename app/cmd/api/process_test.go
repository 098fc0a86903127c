package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

const (
	firstHalf  = `{"name": "Ada", `
	secondHalf = `"email": "ada@example.org", "password": "correct horse"}`
)

// partialRequest is a request without the second half of its body.
var partialRequest = fmt.Sprintf("POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(firstHalf+secondHalf), firstHalf)

func TestARunningRequestFinishesAfterSIGTERM(t *testing.T) {
	r := startAPI(t)
	connection := r.dial(partialRequest)
	waitForRequestInFlight(r)
	r.stop()
	r.log.waitFor(t, "draining")
	waitUntilRefused(t, r.api)
	if _, err := io.WriteString(connection, secondHalf); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusCreated || !response.Close {
		t.Errorf("got %d, closing: %v", response.StatusCode, response.Close)
	}
	if err := r.wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// waitForRequestInFlight waits until the server has received the beginning of a request.
func waitForRequestInFlight(r *instance) {
	r.t.Helper()
	eventually(r.t, "a request is in flight", func() bool {
		metrics, _ := r.get(r.admin, "/metrics")
		return strings.Contains(metrics, "http_requests_in_flight 1\n")
	})
}

func waitUntilRefused(t *testing.T, address string) {
	t.Helper()
	eventually(t, "new connections are refused", func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
		}
		return err != nil
	})
}

func TestADrainingServerServesButIsNotReady(t *testing.T) {
	for path, args := range map[string][]string{"/v1/shops": {"api"}, "/login": {"api", "web"}} {
		t.Run(args[len(args)-1], func(t *testing.T) {
			checkDraining(startCommand(t, args, []string{"DRAIN_DELAY=500ms", "API_URL=" + unreachableURL}), path)
		})
	}
}

// checkDraining stops the server, and sends a request for this path while it drains.
func checkDraining(r *instance, path string) {
	t := r.t
	t.Helper()
	for _, probe := range []string{"livez", "startupz", "readyz"} {
		if got := r.probe(probe); got != http.StatusOK {
			t.Errorf("/%s responds %d before", probe, got)
		}
	}
	r.stop()
	r.log.waitFor(t, "draining")
	for probe, want := range map[string]int{"livez": 200, "startupz": 200, "readyz": 503} {
		if got := r.probe(probe); got != want {
			t.Errorf("/%s responds %d, want %d", probe, got, want)
		}
	}
	response, err := http.Get("http://" + r.api + path)
	if err != nil {
		t.Fatalf("a new request is not served any more: %v", err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("got %d, closing: %v", response.StatusCode, response.Close)
	}
	if err := r.wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestARequestThatNeverEndsIsAbortedAndReported(t *testing.T) {
	r := startAPI(t, "SHUTDOWN_TIMEOUT=50ms")
	r.dial(partialRequest)
	waitForRequestInFlight(r)
	r.stop()
	if err := r.wait(); err == nil || !strings.Contains(err.Error(), "SHUTDOWN_TIMEOUT (50ms)") {
		t.Errorf("ended with %v", err)
	}
}

func TestSlowClientsTimeOut(t *testing.T) {
	t.Run("with its headers", func(t *testing.T) {
		r := startAPI(t, "HTTP_READ_HEADER_TIMEOUT=50ms")
		connection := r.dial("GET /v1/shops HTTP/1.1\r\nHost:")
		if _, err := io.ReadAll(connection); err != nil {
			t.Errorf("the connection is not closed: %v", err)
		}
	})
	t.Run("with its body, and gets a 408", func(t *testing.T) {
		r := startAPI(t, "HTTP_READ_HEADER_TIMEOUT=50ms", "HTTP_READ_TIMEOUT=100ms")
		response, err := http.ReadResponse(bufio.NewReader(r.dial(partialRequest)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusRequestTimeout {
			t.Errorf("got %d", response.StatusCode)
		}
	})
	t.Run("with its next request", func(t *testing.T) {
		r := startAPI(t, "HTTP_IDLE_TIMEOUT=50ms")
		connection := r.dial("GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
		if content, err := io.ReadAll(connection); err != nil || !strings.HasPrefix(string(content), "HTTP/1.1 200 ") {
			t.Errorf("got %q, %v", content, err)
		}
	})
}

func TestATooLargeBodyIsA413(t *testing.T) {
	r := startAPI(t, "HTTP_MAX_BODY_BYTES=64")
	response, err := http.Post("http://"+r.api+"/v1/users", "application/json", strings.NewReader(`{"name": "`+strings.Repeat("x", 64)+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge || !response.Close {
		t.Errorf("got %d, closing: %v", response.StatusCode, response.Close)
	}
}
