package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asProgram makes this test binary behave as the program: signals and exit codes need a process of their own.
const asProgram = "SLIPWAY_TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// running is the program, serving on ports of its own.
type running struct {
	t          *testing.T
	api, admin string // host:port
	stop       context.CancelFunc
	done       chan error
	log        *logged
}

// startRun runs the API in this process and waits until it serves.
func startRun(t *testing.T, environment ...string) *running {
	t.Helper()
	return startCommand(t, []string{"api"}, environment)
}

func startCommand(t *testing.T, args, environment []string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{t: t, stop: stop, done: make(chan error, 1), log: newLogged()}
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
	t.Cleanup(finished.Wait)
	t.Cleanup(stop)
	r.addresses()
	return r
}

func (r *running) addresses() {
	r.t.Helper()
	line := r.log.await(r.t, "serving")
	r.api = localhost(line["http"])
	r.admin = localhost(line["admin"])
	if got := r.probe("readyz"); got != http.StatusOK {
		r.t.Fatalf("serving, but /readyz answers %d", got)
	}
}

func localhost(address any) string {
	_, port, _ := net.SplitHostPort(fmt.Sprint(address))
	return "127.0.0.1:" + port
}

func (r *running) probe(name string) (status int) {
	r.t.Helper()
	answer, err := http.Get("http://" + r.admin + "/" + name)
	if err != nil {
		r.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func (r *running) get(address, path string) (body string, header http.Header) {
	r.t.Helper()
	answer, err := http.Get("http://" + address + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(content), answer.Header
}

// ended is what run returned.
func (r *running) ended() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(10 * time.Second):
		r.t.Fatal("it does not end")
		return nil
	}
}

// dial sends the beginning of a request by hand.
func (r *running) dial(request string) net.Conn {
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

// logged collects JSON log lines and lets a test wait for one.
type logged struct {
	mu      sync.Mutex
	lines   []map[string]any
	arrived chan struct{}
}

func newLogged() *logged { return &logged{arrived: make(chan struct{}, 1)} }

func (l *logged) Write(content []byte) (int, error) {
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

func (l *logged) await(t *testing.T, message string) map[string]any {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		at := slices.IndexFunc(l.lines, func(line map[string]any) bool { return line["msg"] == message })
		lines := slices.Clone(l.lines)
		l.mu.Unlock()
		if at >= 0 {
			return lines[at]
		}
		select {
		case <-l.arrived:
		case <-timeout:
			t.Fatalf("%q is not logged, only %v", message, lines)
		}
	}
}

const (
	firstHalf  = `{"name": "Ada", `
	secondHalf = `"email": "ada@example.org", "password": "correct horse"}`
)

var halfARequest = fmt.Sprintf("POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(firstHalf+secondHalf), firstHalf)

func TestARunningRequestIsAnsweredAfterSIGTERM(t *testing.T) {
	r := startRun(t)
	connection := r.dial(halfARequest)
	waitInFlight(r)
	r.stop()
	r.log.await(t, "draining")
	awaitRefused(t, r.api)
	if _, err := io.WriteString(connection, secondHalf); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusCreated || !answer.Close {
		t.Errorf("got %d, closing: %v", answer.StatusCode, answer.Close)
	}
	if err := r.ended(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// waitInFlight returns once the server has seen the beginning of a request.
func waitInFlight(r *running) {
	r.t.Helper()
	eventually(r.t, "a request is in flight", func() bool {
		metrics, _ := r.get(r.admin, "/metrics")
		return strings.Contains(metrics, "http_requests_in_flight 1\n")
	})
}

func awaitRefused(t *testing.T, address string) {
	t.Helper()
	eventually(t, "new connections are refused", func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
		}
		return err != nil
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestDrainingServesOnButIsNotReady(t *testing.T) {
	for path, args := range map[string][]string{"/v1/shops": {"api"}, "/login": {"api", "web"}} {
		t.Run(args[len(args)-1], func(t *testing.T) {
			drainAndAsk(startCommand(t, args, []string{"DRAIN_DELAY=500ms", "API_URL=" + nobody}), path)
		})
	}
}

func drainAndAsk(r *running, path string) {
	t := r.t
	t.Helper()
	for _, probe := range []string{"livez", "startupz", "readyz"} {
		if got := r.probe(probe); got != http.StatusOK {
			t.Errorf("/%s answers %d before", probe, got)
		}
	}
	r.stop()
	r.log.await(t, "draining")
	for probe, want := range map[string]int{"livez": 200, "startupz": 200, "readyz": 503} {
		if got := r.probe(probe); got != want {
			t.Errorf("/%s answers %d, want %d", probe, got, want)
		}
	}
	answer, err := http.Get("http://" + r.api + path)
	if err != nil {
		t.Fatalf("a new request is not served any more: %v", err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK || !answer.Close {
		t.Errorf("got %d, closing: %v", answer.StatusCode, answer.Close)
	}
	if err := r.ended(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestARequestThatNeverEndsIsCutOffAndSaid(t *testing.T) {
	r := startRun(t, "SHUTDOWN_TIMEOUT=50ms")
	r.dial(halfARequest)
	waitInFlight(r)
	r.stop()
	if err := r.ended(); err == nil || !strings.Contains(err.Error(), "SHUTDOWN_TIMEOUT (50ms)") {
		t.Errorf("ended with %v", err)
	}
}

func TestASlowClientIsNotWaitedFor(t *testing.T) {
	t.Run("with its headers", func(t *testing.T) {
		r := startRun(t, "HTTP_READ_HEADER_TIMEOUT=50ms")
		connection := r.dial("GET /v1/shops HTTP/1.1\r\nHost:")
		if _, err := io.ReadAll(connection); err != nil {
			t.Errorf("the connection is not closed: %v", err)
		}
	})
	t.Run("with its body, and is told 408", func(t *testing.T) {
		r := startRun(t, "HTTP_READ_HEADER_TIMEOUT=50ms", "HTTP_READ_TIMEOUT=100ms")
		answer, err := http.ReadResponse(bufio.NewReader(r.dial(halfARequest)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != http.StatusRequestTimeout {
			t.Errorf("got %d", answer.StatusCode)
		}
	})
	t.Run("with its next request", func(t *testing.T) {
		r := startRun(t, "HTTP_IDLE_TIMEOUT=50ms")
		connection := r.dial("GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
		if content, err := io.ReadAll(connection); err != nil || !strings.HasPrefix(string(content), "HTTP/1.1 200 ") {
			t.Errorf("got %q, %v", content, err)
		}
	})
}

func TestABodyBeyondTheLimitIsA413(t *testing.T) {
	r := startRun(t, "HTTP_MAX_BODY_BYTES=64")
	answer, err := http.Post("http://"+r.api+"/v1/users", "application/json", strings.NewReader(`{"name": "`+strings.Repeat("x", 64)+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestEntityTooLarge || !answer.Close {
		t.Errorf("got %d, closing: %v", answer.StatusCode, answer.Close)
	}
}

func TestAChangedFileIsServedAndABadOneIsNot(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "config.yaml")
	// As the kubelet does it: a rename of the ..data link, on which config.yaml depends.
	swap := func(version, content string) {
		t.Helper()
		link := filepath.Join(folder, "..data_tmp")
		if err := errors.Join(
			os.Mkdir(filepath.Join(folder, version), 0o755),
			os.WriteFile(filepath.Join(folder, version, "config.yaml"), []byte(content), 0o644),
			os.Symlink(version, link),
			os.Rename(link, filepath.Join(folder, "..data")),
		); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("..data/config.yaml", file); err != nil {
		t.Fatal(err)
	}
	swap("..1", "notice: one\n")
	r := startRun(t, "CONFIG_FILE="+file)
	notice := func() string {
		_, header := r.get(r.api, "/version")
		return header.Get("X-Notice")
	}
	if got := notice(); got != "one" {
		t.Fatalf("X-Notice is %q at the start", got)
	}

	swap("..2", "notice: two\nlogLevel: error\n")
	eventually(t, "the new notice is served", func() bool { return notice() == "two" })

	swap("..3", "notice: three\nlogLevel: loud\n")
	eventually(t, "the bad file is counted", func() bool {
		metrics, _ := r.get(r.admin, "/metrics")
		return strings.Contains(metrics, `app_config_reloads_total{result="error"} 1`+"\n") &&
			strings.Contains(metrics, `app_config_reloads_total{result="success"} 1`+"\n") &&
			strings.Contains(metrics, "app_config_generation 2\n")
	})
	if got := notice(); got != "two" {
		t.Errorf("X-Notice is %q after a bad file", got)
	}
	effective, _ := r.get(r.admin, "/config")
	for _, part := range []string{`"generation":2`, `"notice":"two"`, `"logLevel":"error"`} {
		if !strings.Contains(effective, part) {
			t.Errorf("%s is missing in %s", part, effective)
		}
	}
	if line := r.log.await(t, "config not reloaded, the one before stays in force"); !strings.Contains(fmt.Sprint(line["error"]), `"loud"`) {
		t.Errorf("logged %v", line)
	}
}

// post answers with the decoded body of a 201.
func (r *running) post(path, body, token string) (fields map[string]any) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), "POST", "http://"+r.api+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&fields); answer.StatusCode != http.StatusCreated || err != nil {
		r.t.Fatalf("POST %s: %d %v %v", path, answer.StatusCode, fields, err)
	}
	return fields
}

// signIn makes a user and returns an access token of theirs.
func (r *running) signIn() (token string) {
	r.t.Helper()
	r.post("/v1/users", `{"name": "Ada", "email": "ada@example.org", "password": "correct horse"}`, "")
	return fmt.Sprint(r.post("/v1/sessions", `{"email": "ada@example.org", "password": "correct horse"}`, "")["accessToken"])
}

func TestTheSigningKeyStaysSecretAndCursorsOutliveTheProcess(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "signing-key"), []byte("canary-canary-canary-canary-canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := startRun(t, "SECRETS_DIR="+folder)
	token := first.signIn()
	for range 2 {
		first.post("/v1/shops", `{"name": "x"}`, token)
	}
	body, _ := first.get(first.api, "/v1/shops?limit=1")
	var page struct{ Next string }
	if err := json.Unmarshal([]byte(body), &page); err != nil || page.Next == "" {
		t.Fatalf("no next page in %s: %v", body, err)
	}
	effective, _ := first.get(first.admin, "/config")
	if strings.Contains(effective, "canary") || !strings.Contains(effective, `"signing-key":"***"`) {
		t.Errorf("/config shows %s", effective)
	}
	second := startRun(t, "SECRETS_DIR="+folder)
	if body, _ := second.get(second.api, page.Next); !strings.HasPrefix(body, `{"items":`) {
		t.Errorf("another process with the same key answers %s", body)
	}
	third := startRun(t)
	if body, _ := third.get(third.api, page.Next); !strings.Contains(body, `"field":"cursor"`) {
		t.Errorf("a process with another key answers %s", body)
	}
}

func TestProbesAreNotInTheAccessLog(t *testing.T) {
	r := startRun(t)
	r.probe("livez")
	r.get(r.api, "/version")
	if line := r.log.await(t, "request"); line["path"] != "/version" {
		t.Errorf("the first request in the log is %v", line)
	}
}

func TestMetricsCoverTheRuntimeAndTheBuild(t *testing.T) {
	r := startRun(t)
	metrics, _ := r.get(r.admin, "/metrics")
	for _, series := range []string{"\ngo_goroutines ", "\nprocess_cpu_seconds_total ", "\napp_config_generation 1\n", `app_build_info{goversion="go1.`, "\napp_panics_total 0\n"} {
		if !strings.Contains(metrics, series) {
			t.Errorf("%q is missing", series)
		}
	}
}

func TestATakenPortIsAnErrorOfTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	getenv := func(name string) string { return map[string]string{"HTTP_PORT": port, "ADMIN_PORT": "0"}[name] }
	if err := run(t.Context(), []string{"api"}, getenv, io.Discard); err == nil || !strings.Contains(err.Error(), "HTTP_PORT: listen tcp :"+port) {
		t.Errorf("got %v", err)
	}
}

// program is the program as a process.
func program(t *testing.T, environment []string, args ...string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), executable, args...)
	command.Env = append(environment, asProgram+"=1", "GOCOVERDIR="+t.TempDir()) // for go test -cover
	return command
}

func TestCommands(t *testing.T) {
	for _, command := range []struct {
		name        string
		environment []string
		args        string
		status      int
		stdout      []string
		stderr      []string
	}{
		{name: "help lists routes, variables and defaults", args: "--help", stdout: []string{"/v1/shops", "/readyz", "HTTP_WRITE_TIMEOUT", "(15s)", "pageSize", "config check", "api migrate", "MYSQL_HOST", "api web", "API_URL"}},
		{name: "version is one line", args: "version", stdout: []string{"dev go1."}},
		{name: "config check shows what is in force", args: "config check", environment: []string{"DRAIN_DELAY=7s"}, stdout: []string{`"DRAIN_DELAY": "7s"`, `"HTTP_PORT": 8080`, `"max": 100`}},
		{name: "config check names every mistake", args: "config check", environment: []string{"LOG_LEVEL=loud", "HTTP_PORT=x"}, status: 1, stderr: []string{"LOG_LEVEL", "HTTP_PORT"}},
		{name: "serving refuses the same mistakes", environment: []string{"LOG_LEVEL=loud", "CONFIG_FILE=/nowhere.yaml"}, status: 1, stderr: []string{"LOG_LEVEL", "CONFIG_FILE /nowhere.yaml"}},
		{name: "the pages need an API", args: "web", status: 1, stderr: []string{"API_URL is not set", "http://api:80"}},
		{name: "the pages need the API's address", args: "web", environment: []string{"API_URL=api:80"}, status: 1, stderr: []string{"API_URL: it is not a URL"}},
		{name: "an unknown command is refused", args: "sevre", status: 1, stderr: []string{`unknown command "sevre"`, "--help"}},
	} {
		t.Run(command.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			process := program(t, command.environment, strings.Fields(command.args)...)
			process.Stdout, process.Stderr = &stdout, &stderr
			process.Run()
			if got := process.ProcessState.ExitCode(); got != command.status {
				t.Errorf("exit code %d, want %d", got, command.status)
			}
			for _, part := range command.stdout {
				if !strings.Contains(stdout.String(), part) {
					t.Errorf("%q is not in stdout:\n%s", part, &stdout)
				}
			}
			for _, part := range command.stderr {
				if !strings.Contains(stderr.String(), part) {
					t.Errorf("%q is not in stderr:\n%s", part, &stderr)
				}
			}
			if command.status == 0 && stderr.Len() > 0 {
				t.Errorf("stderr: %s", &stderr)
			}
		})
	}
}

func TestSIGTERMEndsWith0AndASecondOneEndsAtOnce(t *testing.T) {
	begin := func(t *testing.T, drainDelay string) (*exec.Cmd, *running) {
		t.Helper()
		r := &running{t: t, log: newLogged()}
		process := program(t, []string{"HTTP_PORT=0", "ADMIN_PORT=0", "DRAIN_DELAY=" + drainDelay})
		process.Stdout = r.log
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		r.addresses()
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		r.log.await(t, "draining")
		return process, r
	}
	t.Run("one", func(t *testing.T) {
		process, r := begin(t, "0s")
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
		r.log.await(t, "stopped")
	})
	t.Run("two", func(t *testing.T) {
		process, _ := begin(t, "1h")
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		process.Wait()
		if got := process.ProcessState.ExitCode(); got != 1 {
			t.Errorf("exit code %d", got)
		}
	})
}
