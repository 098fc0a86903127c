package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/app/internal/auth"
	"slipway/app/internal/config"
	"slipway/app/internal/outage"
	"slipway/app/internal/redis/redistest"
	"slipway/app/internal/store"
	"slipway/app/internal/store/mysql"
	"slipway/app/internal/store/mysql/mysqltest"
)

var signingKey = strings.Repeat("k", 32)

// testBackends is a database of its own on the server at TEST_MYSQL_DSN, behind a proxy, and optionally Redis.
type testBackends struct {
	t           *testing.T
	mysql       *outage.Proxy
	redis       *outage.Proxy // nil without addRedis
	secrets     string
	options     mysql.Options // without the proxy
	environment []string
}

func newBackends(t *testing.T) *testBackends {
	t.Helper()
	options := mysqltest.Database(t)
	proxy := outage.NewProxy(t, net.JoinHostPort(options.Host, strconv.Itoa(options.Port)))
	secrets := t.TempDir()
	for file, content := range map[string]string{"signing-key": signingKey, "mysql-password": options.Password.Reveal()} {
		if err := os.WriteFile(filepath.Join(secrets, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &testBackends{t: t, mysql: proxy, secrets: secrets, options: options, environment: []string{
		"SECRETS_DIR=" + secrets, "MYSQL_HOST=" + proxy.Host(), fmt.Sprintf("MYSQL_PORT=%d", proxy.Port()),
		"MYSQL_DATABASE=" + options.Database, "MYSQL_USER=" + options.User,
	}}
}

// addRedis adds the server at TEST_REDIS_URL, behind a proxy.
func (b *testBackends) addRedis() {
	b.t.Helper()
	proxy, options := redistest.Proxy(b.t)
	if err := os.WriteFile(filepath.Join(b.secrets, "redis-password"), []byte(options.Password.Reveal()), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.redis = proxy
	b.environment = append(b.environment, "REDIS_HOST="+options.Host, fmt.Sprintf("REDIS_PORT=%d", options.Port))
}

// tokens returns access tokens of new users. It adds them directly, because signing up is slow on purpose.
func (b *testBackends) tokens(users int) (tokens []string) {
	b.t.Helper()
	direct, err := mysql.Open(b.options)
	if err != nil {
		b.t.Fatal(err)
	}
	defer direct.Close()
	access := auth.NewAccessTokens(config.NewSecret(signingKey))
	for number := range users {
		user, err := direct.AddUser(b.t.Context(), store.UserDraft{Email: fmt.Sprint(number), Name: fmt.Sprint(number)})
		if err != nil {
			b.t.Fatal(err)
		}
		token, err := access.Issue(auth.Identity{User: user.ID, Session: user.ID})
		if err != nil {
			b.t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	return tokens
}

func (b *testBackends) getenv(name string) string {
	for _, variable := range b.environment {
		if value, found := strings.CutPrefix(variable, name+"="); found {
			return value
		}
	}
	return ""
}

func (b *testBackends) migrate() {
	b.t.Helper()
	var out bytes.Buffer
	if err := run(b.t.Context(), []string{"api", "migrate"}, b.getenv, &out); err != nil || !strings.Contains(out.String(), "schema is up to date") {
		b.t.Fatalf("%v\n%s", err, &out)
	}
}

// status requests a path of the public port.
func (r *instance) status(path string) (status int, took time.Duration) {
	r.t.Helper()
	started := time.Now()
	response, err := http.Get("http://" + r.api + path)
	if err != nil {
		r.t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "" {
		r.t.Error("a 503 without Retry-After")
	}
	return response.StatusCode, time.Since(started)
}

func TestWithoutItsStoreTheAPIIsAliveButNotReadyAndRecovers(t *testing.T) {
	b := newBackends(t)
	b.migrate()
	r := startAPI(t, b.environment...)
	for _, fail := range []func(){b.mysql.Cut, b.mysql.Freeze} {
		fail()
		if status, took := r.status("/v1/shops"); status != http.StatusServiceUnavailable || took > time.Second {
			t.Errorf("%d after %s", status, took)
		}
		eventually(t, "not ready", func() bool { return r.probe("readyz") == http.StatusServiceUnavailable })
		for _, probe := range []string{"livez", "startupz"} {
			if got := r.probe(probe); got != http.StatusOK {
				t.Errorf("/%s responds %d", probe, got)
			}
		}
		b.mysql.Cut()
		b.mysql.Restore()
		restored := time.Now()
		eventually(t, "ready again", func() bool { return r.probe("readyz") == http.StatusOK })
		if took := time.Since(restored); took > 5*time.Second {
			t.Errorf("ready again after %s", took)
		}
		if status, _ := r.status("/v1/shops"); status != http.StatusOK {
			t.Errorf("%d after the store came back", status)
		}
	}
}

func TestTheAPIStartsWithoutASchemaAndIsReadyOnceItIsMigrated(t *testing.T) {
	b := newBackends(t)
	r := &instance{t: t, log: newLogBuffer()}
	process := program(t, append(b.environment, "HTTP_PORT=0", "ADMIN_PORT=0"))
	process.Stdout = r.log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	r.admin = localhost(r.log.waitFor(t, "serving")["admin"])
	if line := r.log.waitFor(t, "the store cannot be used: not ready"); !strings.Contains(fmt.Sprint(line["error"]), "api migrate") {
		t.Errorf("logged %v", line)
	}
	if got := r.probe("readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz responds %d", got)
	}
	b.migrate()
	eventually(t, "ready", func() bool { return r.probe("readyz") == http.StatusOK })
}

func TestDataOutlivesTheProcessAndIsSharedByReplicas(t *testing.T) {
	b := newBackends(t)
	b.migrate()
	first, second := startAPI(t, b.environment...), startAPI(t, b.environment...)
	shop := first.post("/v1/shops", `{"name": "kept"}`, first.signIn())
	if body, _ := second.get(second.api, fmt.Sprint("/v1/shops/", shop["id"])); !strings.Contains(body, `"name":"kept"`) {
		t.Errorf("the other replica responds %s", body)
	}
	first.stop()
	third := startAPI(t, b.environment...)
	if body, _ := third.get(third.api, "/v1/shops?query=KEPT"); !strings.Contains(body, `"name":"kept"`) {
		t.Errorf("the next process responds %s", body)
	}
}

func TestMigrateReportsAMissingSetting(t *testing.T) {
	err := run(t.Context(), []string{"api", "migrate"}, func(string) string { return "" }, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "MYSQL_HOST is not set") {
		t.Errorf("got %v", err)
	}
}

func TestARecountOfACrashedProcessIsDoneByAnother(t *testing.T) {
	for name, redis := range map[string]bool{"with Redis": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			b := newBackends(t)
			if redis {
				b.addRedis()
			}
			b.migrate()
			r := startAPI(t, b.environment...)
			shop := fmt.Sprint(r.post("/v1/shops", `{"name": "x"}`, b.tokens(1)[0])["id"])
			dead, err := mysql.Open(b.options)
			if err != nil {
				t.Fatal(err)
			}
			defer dead.Close()
			author, err := dead.AddUser(t.Context(), store.UserDraft{Email: "author", Name: "author"})
			if err != nil {
				t.Fatal(err)
			}
			id, _ := store.ParseID(shop)
			if _, err := dead.AddReview(t.Context(), store.ReviewDraft{Shop: id, Author: author.ID, Stars: 4}); err != nil {
				t.Fatal(err)
			}
			if _, err := mysqltest.Admin(t, b.options.Database).Exec("UPDATE recounts SET due_at = UTC_TIMESTAMP(3)"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the review is counted", func() bool {
				body, _ := r.get(r.api, "/v1/shops/"+shop)
				return strings.Contains(body, `"reviews":1`)
			})
		})
	}
}
