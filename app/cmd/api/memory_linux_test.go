package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/app/internal/attack"
)

// requestHead begins a request with a body.
const requestHead = "POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 8000\r\n\r\n"

const (
	attackers = 200
	podMemory = 64 << 10 // KiB
	// goMemory is GOMEMLIMIT. Go collects little garbage before it reaches this limit; it uses about 40 MiB if it has
	// enough processor time.
	goMemory = podMemory * 90 / 100
)

// pod is the program as it runs in a pod: compiled without the race detector, with the limits of a pod of 64Mi.
type pod struct {
	t       *testing.T
	process *os.Process
	address string
	mapped  int // KiB of the executable, which the kernel evicts before it kills a process
}

func startPod(t *testing.T, program string, args []string, environment ...string) pod {
	t.Helper()
	command := exec.Command(program, args...)
	command.Env = append(environment, "HTTP_PORT=0", "ADMIN_PORT=0", fmt.Sprintf("GOMEMLIMIT=%dKiB", goMemory), "GOMAXPROCS=1", "LOG_LEVEL=warn",
		"CONFIG_FILE="+writeConfig(t, "logLevel: info\nrateLimit: {requests: 0, logins: 0, guesses: 0}\n"))
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill(); command.Wait() })
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if json.Unmarshal(line, &fields) == nil && fields["msg"] == "serving" {
			go io.Copy(io.Discard, lines)
			started := pod{t: t, process: command.Process, address: localhost(fields["http"])}
			started.mapped = started.status("RssFile")
			return started
		}
	}
}

func writeConfig(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// status returns a value of /proc/PID/status, in KiB.
func (p pod) status(name string) (kibibytes int) {
	p.t.Helper()
	lines, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(lines, []byte(name+":"))
	if _, err := fmt.Sscan(string(rest), &kibibytes); err != nil {
		p.t.Fatal(err)
	}
	return kibibytes
}

// attack makes many clients send the same request twice at the same time. It returns the number of responses by status; 0
// stands for a connection that was closed without a response.
func (p pod) attack(clients int, path, mediaType, body string) map[int]int {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: attackers}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	responses := map[int]int{}
	together(clients, func() {
		for range 2 {
			status := 0
			if response, err := client.Post("http://"+p.address+path, mediaType, strings.NewReader(body)); err == nil {
				status = response.StatusCode
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
			mu.Lock()
			responses[status]++
			mu.Unlock()
		}
	})
	return responses
}

func (p pod) attackInEveryWay(login string) (responses map[int]int) {
	var all sync.WaitGroup
	all.Go(func() { p.stall(attackers/4, requestHead+attack.TinyFields(7990)) })
	all.Go(func() { p.attack(attackers/4, "/v1/users", "application/json", attack.TinyFields(8<<10)) })
	all.Go(func() { responses = p.attack(attackers/2, "/v1/sessions", "application/json", login) })
	all.Wait()
	return responses
}

func together(clients int, work func()) {
	var all sync.WaitGroup
	for range clients {
		all.Go(work)
	}
	all.Wait()
}

// stall makes many clients send an incomplete request, and wait.
func (p pod) stall(clients int, request string) {
	together(clients, func() {
		connection, err := net.Dial("tcp", p.address)
		if err != nil {
			return
		}
		defer connection.Close()
		io.WriteString(connection, request)
		time.Sleep(time.Second)
	})
}

func (p pod) wantWithinLimit(after string, responses map[int]int) {
	p.t.Helper()
	peak := p.status("VmHWM") - p.mapped
	p.t.Logf("%s: at most %.1f MiB; responses %v", after, float64(peak)/1024, responses)
	if peak > podMemory {
		p.t.Fatalf("%s: %.1f MiB", after, float64(peak)/1024)
	}
	if responses[http.StatusInternalServerError] > 0 {
		p.t.Errorf("%s: responses %v", after, responses)
	}
}

func TestMemoryStaysWithinAPodsLimitUnder200HostileClients(t *testing.T) {
	program := filepath.Join(t.TempDir(), "api")
	if output, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	api := startPod(t, program, nil)
	web := startPod(t, program, []string{"web"}, "API_URL=http://"+api.address)
	login := `{"email": "ada@example.org", "password": "correct horse"}`

	api.wantWithinLimit("1 MiB of tiny fields", api.attack(attackers, "/v1/sessions", "application/json", attack.TinyFields(1<<20)))
	api.wantWithinLimit("8 KiB of tiny fields", api.attack(attackers, "/v1/users", "application/json", attack.TinyFields(8<<10)))
	api.wantWithinLimit("logins", api.attack(attackers, "/v1/sessions", "application/json", login))
	api.stall(attackers, requestHead+attack.TinyFields(7990))
	api.wantWithinLimit("bodies that do not end", nil)
	api.stall(attackers, "GET /version HTTP/1.1\r\nHost: x\r\n"+tinyHeaders(1900))
	api.wantWithinLimit("heads that do not end", nil)
	api.wantWithinLimit("all of that at once", api.attackInEveryWay(login))

	const form = "application/x-www-form-urlencoded"
	web.wantWithinLimit("a form of 1 MiB", web.attack(attackers, "/login", form, strings.Repeat("a&", 1<<19)))
	web.wantWithinLimit("a form of 16 KiB", web.attack(attackers, "/signup", form, "name="+strings.Repeat("<", 16<<10-10)))
	web.wantWithinLimit("login forms", web.attack(attackers, "/login", form, "email=ada%40example.org&password=correct+horse"))
	if status := api.attack(attackers, "/v1/sessions", "application/json", `{}`); status[http.StatusUnprocessableEntity] == 0 {
		t.Errorf("the API does not respond any more: %v", status)
	}
}

func tinyHeaders(count int) string {
	var text strings.Builder
	for i := range count {
		fmt.Fprintf(&text, "%x:\r\n", i)
	}
	return text.String()
}
