package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// runMainEnv is the variable that makes this test binary run main: tests of signals and exit codes need a process of
// their own.
const runMainEnv = "SLIPWAY_TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMainEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestAChangedFileComesIntoForceUnlessItIsInvalid(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "config.yaml")
	// The kubelet renames the link ..data, through which config.yaml leads.
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
	r := startAPI(t, "CONFIG_FILE="+file)
	notice := func() string {
		_, header := r.get(r.api, "/version")
		return header.Get("X-Notice")
	}
	if got := notice(); got != "one" {
		t.Fatalf("X-Notice is %q at startup", got)
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
	if line := r.log.waitFor(t, "config not reloaded, the previous one stays in force"); !strings.Contains(fmt.Sprint(line["error"]), `"loud"`) {
		t.Errorf("logged %v", line)
	}
}

func TestTheSigningKeyIsNotShownAndCursorsOutliveTheProcess(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "signing-key"), []byte("canary-canary-canary-canary-canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := startAPI(t, "SECRETS_DIR="+folder)
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
	second := startAPI(t, "SECRETS_DIR="+folder)
	if body, _ := second.get(second.api, page.Next); !strings.HasPrefix(body, `{"items":`) {
		t.Errorf("another process with the same key responds %s", body)
	}
	third := startAPI(t)
	if body, _ := third.get(third.api, page.Next); !strings.Contains(body, `"field":"cursor"`) {
		t.Errorf("a process with another key responds %s", body)
	}
}

func TestProbesAreNotLogged(t *testing.T) {
	r := startAPI(t)
	r.probe("livez")
	r.get(r.api, "/version")
	if line := r.log.waitFor(t, "request"); line["path"] != "/version" {
		t.Errorf("the first request in the log is %v", line)
	}
}

func TestMetricsIncludeTheRuntimeAndTheBuild(t *testing.T) {
	r := startAPI(t)
	metrics, _ := r.get(r.admin, "/metrics")
	for _, series := range []string{"\ngo_goroutines ", "\nprocess_cpu_seconds_total ", "\napp_config_generation 1\n", `app_build_info{goversion="go1.`, "\napp_panics_total 0\n"} {
		if !strings.Contains(metrics, series) {
			t.Errorf("%q is missing", series)
		}
	}
}

func TestAFreshProcessExportsAllSeriesWithAndWithoutStores(t *testing.T) {
	for name, environment := range map[string]func(t *testing.T) []string{
		"in memory": func(*testing.T) []string { return nil },
		"MySQL":     func(t *testing.T) []string { return newBackends(t).environment },
		"MySQL and Redis": func(t *testing.T) []string {
			b := newBackends(t)
			b.addRedis()
			return b.environment
		},
	} {
		t.Run(name, func(t *testing.T) {
			variables := environment(t)
			process := &instance{t: t, log: newLogBuffer()}
			process.start([]string{"api"}, variables)
			process.admin = localhost(process.log.waitFor(t, "serving")["admin"])
			body, _ := process.get(process.admin, "/metrics")
			for _, series := range []string{
				`go_sql_max_open_connections{db_name="requests"}`,
				`go_sql_open_connections{db_name="requests"}`,
				`go_sql_in_use_connections{db_name="background"}`,
				`go_sql_idle_connections{db_name="requests"}`,
				`go_sql_wait_count_total{db_name="requests"} 0`,
				`go_sql_wait_duration_seconds_total{db_name="background"} 0`,
				`app_slow_queries_total{db_name="requests"}`,
				`app_slow_queries_total{db_name="background"}`,
				`app_recount_backlog 0`,
				`app_request_body_bytes 0`,
				`app_request_body_budget_bytes 3`,
				`app_build_info{`,
				`http_requests_total{code="500",method="GET",route="/v1/shops"} 0`,
				`http_request_duration_seconds_bucket{code="200",method="GET",route="/v1/shops",le="0.25"} 0`,
				`http_request_duration_seconds_count{code="200",method="GET",route="/v1/shops"} 0`,
			} {
				if !strings.Contains(body, "\n"+series) {
					t.Errorf("%s is missing", series)
				}
			}
		})
	}
}

func TestAPortInUseIsAnErrorAtStartup(t *testing.T) {
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

// program returns a command that runs the program as a process of its own.
func program(t *testing.T, environment []string, args ...string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), executable, args...)
	command.Env = append(environment, runMainEnv+"=1", "GOCOVERDIR="+t.TempDir()) // for go test -cover
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
		{name: "config check shows the configuration in force", args: "config check", environment: []string{"DRAIN_DELAY=7s"}, stdout: []string{`"DRAIN_DELAY": "7s"`, `"HTTP_PORT": 8080`, `"max": 100`}},
		{name: "config check reports all mistakes", args: "config check", environment: []string{"LOG_LEVEL=loud", "HTTP_PORT=x"}, status: 1, stderr: []string{"LOG_LEVEL", "HTTP_PORT"}},
		{name: "serving reports the same mistakes", environment: []string{"LOG_LEVEL=loud", "CONFIG_FILE=/nowhere.yaml"}, status: 1, stderr: []string{"LOG_LEVEL", "CONFIG_FILE /nowhere.yaml"}},
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

func TestSIGTERMExits0AndASecondSignalExitsAtOnce(t *testing.T) {
	startDraining := func(t *testing.T, drainDelay string) (*exec.Cmd, *instance) {
		t.Helper()
		r := &instance{t: t, log: newLogBuffer()}
		process := program(t, []string{"HTTP_PORT=0", "ADMIN_PORT=0", "DRAIN_DELAY=" + drainDelay})
		process.Stdout = r.log
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		r.waitUntilServing()
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		r.log.waitFor(t, "draining")
		return process, r
	}
	t.Run("one", func(t *testing.T) {
		process, r := startDraining(t, "0s")
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
		r.log.waitFor(t, "stopped")
	})
	t.Run("two", func(t *testing.T) {
		process, _ := startDraining(t, "1h")
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		process.Wait()
		if got := process.ProcessState.ExitCode(); got != 1 {
			t.Errorf("exit code %d", got)
		}
	})
}
