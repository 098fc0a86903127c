package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// backend is a database of its own on the server at TEST_MYSQL_DSN, behind a line that can be cut.
type backend struct {
	t           *testing.T
	line        *outage.Line // to MySQL
	redis       *outage.Line // nil without addRedis
	secrets     string
	options     mysql.Options // straight to MySQL
	environment []string
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	options := mysqltest.Database(t)
	line := outage.To(t, net.JoinHostPort(options.Host, strconv.Itoa(options.Port)))
	secrets := t.TempDir()
	for file, content := range map[string]string{"signing-key": signingKey, "mysql-password": options.Password.Reveal()} {
		if err := os.WriteFile(filepath.Join(secrets, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &backend{t: t, line: line, secrets: secrets, options: options, environment: []string{
		"SECRETS_DIR=" + secrets, "MYSQL_HOST=" + line.Host(), fmt.Sprintf("MYSQL_PORT=%d", line.Port()),
		"MYSQL_DATABASE=" + options.Database, "MYSQL_USER=" + options.User,
	}}
}

// addRedis adds the server at TEST_REDIS_URL, behind a line that can be cut.
func (b *backend) addRedis() {
	b.t.Helper()
	line, options := redistest.Line(b.t)
	if err := os.WriteFile(filepath.Join(b.secrets, "redis-password"), []byte(options.Password.Reveal()), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.redis = line
	b.environment = append(b.environment, "REDIS_HOST="+options.Host, fmt.Sprintf("REDIS_PORT=%d", options.Port))
}

// tokens are those of so many new users: made here, as signing up takes its time on purpose.
func (b *backend) tokens(users int) (tokens []string) {
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

func (b *backend) getenv(name string) string {
	for _, variable := range b.environment {
		if value, found := strings.CutPrefix(variable, name+"="); found {
			return value
		}
	}
	return ""
}

func (b *backend) migrate() {
	b.t.Helper()
	var out bytes.Buffer
	if err := run(b.t.Context(), []string{"api", "migrate"}, b.getenv, &out); err != nil || !strings.Contains(out.String(), "schema is up to date") {
		b.t.Fatalf("%v\n%s", err, &out)
	}
}

func (r *running) status(path string) (status int, took time.Duration) {
	r.t.Helper()
	started := time.Now()
	answer, err := http.Get("http://" + r.api + path)
	if err != nil {
		r.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") == "" {
		r.t.Error("a 503 without Retry-After")
	}
	return answer.StatusCode, time.Since(started)
}

func TestWithoutItsStoreItIsNotReadyAliveAndBackByItself(t *testing.T) {
	b := newBackend(t)
	b.migrate()
	r := startRun(t, b.environment...)
	for _, fail := range []func(){b.line.Cut, b.line.Freeze} {
		fail()
		if status, took := r.status("/v1/shops"); status != http.StatusServiceUnavailable || took > time.Second {
			t.Errorf("%d after %s", status, took)
		}
		eventually(t, "not ready", func() bool { return r.probe("readyz") == http.StatusServiceUnavailable })
		for _, probe := range []string{"livez", "startupz"} {
			if got := r.probe(probe); got != http.StatusOK {
				t.Errorf("/%s answers %d", probe, got)
			}
		}
		b.line.Cut()
		b.line.Mend()
		mended := time.Now()
		eventually(t, "ready again", func() bool { return r.probe("readyz") == http.StatusOK })
		if took := time.Since(mended); took > 5*time.Second {
			t.Errorf("back after %s", took)
		}
		if status, _ := r.status("/v1/shops"); status != http.StatusOK {
			t.Errorf("%d after it came back", status)
		}
	}
}

func TestItStartsWithoutAStoreAndIsReadyOnceTheSchemaIsThere(t *testing.T) {
	b := newBackend(t)
	r := &running{t: t, log: newLogged()}
	process := program(t, append(b.environment, "HTTP_PORT=0", "ADMIN_PORT=0"))
	process.Stdout = r.log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	r.admin = localhost(r.log.await(t, "serving")["admin"])
	if line := r.log.await(t, "the store cannot be used: not ready"); !strings.Contains(fmt.Sprint(line["error"]), "api migrate") {
		t.Errorf("logged %v", line)
	}
	if got := r.probe("readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d", got)
	}
	b.migrate()
	eventually(t, "ready", func() bool { return r.probe("readyz") == http.StatusOK })
}

func TestWhatIsWrittenOutlivesTheProcessAndIsSharedByReplicas(t *testing.T) {
	b := newBackend(t)
	b.migrate()
	first, second := startRun(t, b.environment...), startRun(t, b.environment...)
	shop := first.post("/v1/shops", `{"name": "kept"}`, first.signIn())
	if body, _ := second.get(second.api, fmt.Sprint("/v1/shops/", shop["id"])); !strings.Contains(body, `"name":"kept"`) {
		t.Errorf("the other replica answers %s", body)
	}
	first.stop()
	third := startRun(t, b.environment...)
	if body, _ := third.get(third.api, "/v1/shops?query=KEPT"); !strings.Contains(body, `"name":"kept"`) {
		t.Errorf("the next process answers %s", body)
	}
}

func TestMigratingSaysWhatIsMissing(t *testing.T) {
	err := run(t.Context(), []string{"api", "migrate"}, func(string) string { return "" }, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "MYSQL_HOST is not set") {
		t.Errorf("got %v", err)
	}
}

// send does a request without a body and returns its status.
func send(t *testing.T, method, url, token string) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

func TestTenThousandLikesOfFiftyClientsOnThreeReplicasAreCountedExactly(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	b := newBackend(t)
	b.addRedis()
	b.migrate()
	replicas := []*running{startRun(t, b.environment...), startRun(t, b.environment...), startRun(t, b.environment...)}
	const clients, shops = 50, 4
	tokens := b.tokens(clients)
	var shopIDs, reviews []string
	for range shops {
		shop := fmt.Sprint(replicas[0].post("/v1/shops", `{"name": "x"}`, tokens[0])["id"])
		shopIDs = append(shopIDs, shop)
		for _, token := range tokens {
			review := replicas[1].post("/v1/shops/"+shop+"/reviews", `{"stars": 4}`, token)
			reviews = append(reviews, fmt.Sprint(review["id"]))
		}
	}
	started := time.Now()
	var all sync.WaitGroup
	for client, token := range tokens {
		all.Go(func() {
			for number, review := range reviews {
				url := "http://" + replicas[(client+number)%len(replicas)].api + "/v1/reviews/" + review + "/like"
				for range 1 + number%10/9 { // every tenth twice, as after an answer that got lost
					got := send(t, "PUT", url, token)
					for tries := 1; got == http.StatusServiceUnavailable && tries < 10; tries++ { // as clients do
						time.Sleep(time.Second)
						got = send(t, "PUT", url, token)
					}
					if got != http.StatusNoContent {
						t.Errorf("got %d", got)
					}
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d likes took %s", clients*len(reviews), time.Since(started))
	for _, shop := range shopIDs {
		want := fmt.Sprintf(`"rating":{"average":4,"reviews":%d,"likes":%d}`, clients, clients*clients)
		var body string
		eventually(t, want, func() bool {
			body, _ = replicas[2].get(replicas[2].api, "/v1/shops/"+shop)
			return strings.Contains(body, want)
		})
		var page struct{ Items []struct{ Likes int } }
		body, _ = replicas[0].get(replicas[0].api, "/v1/shops/"+shop+"/reviews?limit=100")
		if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Items) != clients {
			t.Fatalf("%v in %s", err, body)
		}
		for _, review := range page.Items {
			if review.Likes != clients {
				t.Errorf("a review has %d likes", review.Likes)
			}
		}
	}
}

// addShop asks until it gets an answer that says what was done, as clients do.
func addShop(t *testing.T, url, name, token, key string) {
	for range 40 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"name": "`+name+`"}`))
		if err != nil {
			t.Error(err)
			return
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", key)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		answer.Body.Close()
		switch answer.StatusCode {
		case http.StatusCreated:
			return
		case http.StatusServiceUnavailable, http.StatusConflict:
			time.Sleep(100 * time.Millisecond)
		default:
			t.Errorf("%s: %d", name, answer.StatusCode)
			return
		}
	}
	t.Errorf("%s was never added", name)
}

func TestClientsThatRepeatARequestWhileTheStoreFailsNeverAddTwice(t *testing.T) {
	b := newBackend(t)
	b.migrate()
	r := startRun(t, b.environment...)
	tokens := b.tokens(20)
	const each = 15
	var clients sync.WaitGroup
	for number, token := range tokens {
		clients.Go(func() {
			for shop := range each {
				name := fmt.Sprintf("%d-%d", number, shop)
				addShop(t, "http://"+r.api+"/v1/shops", name, token, name)
			}
		})
	}
	done := make(chan bool)
	go func() { clients.Wait(); close(done) }()
	for failures, running := 0, true; running; failures++ {
		select {
		case <-done:
			running = false
		case <-time.After(30 * time.Millisecond):
			b.line.Freeze() // what was sent before may be done; its answer is not seen
			time.Sleep(50 * time.Millisecond)
			b.line.Cut()
			b.line.Mend()
		}
		if failures > 1000 {
			t.Fatal("it takes too long")
		}
	}
	var shops, names int
	err := mysqltest.Admin(t, b.options.Database).QueryRow("SELECT COUNT(*), COUNT(DISTINCT name) FROM shops").Scan(&shops, &names)
	if want := len(tokens) * each; err != nil || names != want || shops != want {
		t.Errorf("there are %d shops with %d names, want %d (%v)", shops, names, want, err)
	}
}

func TestACountBeforeWhichAProcessDiedIsDoneByAnother(t *testing.T) {
	for name, redis := range map[string]bool{"with Redis": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			if redis {
				b.addRedis()
			}
			b.migrate()
			r := startRun(t, b.environment...)
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

func TestRedisStoppedUnderLoadIsNoError(t *testing.T) {
	b := newBackend(t)
	b.addRedis()
	b.migrate()
	r := startRun(t, b.environment...)
	tokens := b.tokens(8)
	shop := fmt.Sprint("/v1/shops/", r.post("/v1/shops", `{"name": "x"}`, tokens[0])["id"])
	review := r.post(shop+"/reviews", `{"stars": 4}`, tokens[0])
	like := fmt.Sprint("http://", r.api, "/v1/reviews/", review["id"], "/like")

	var stop atomic.Bool
	var answered atomic.Int32
	var load sync.WaitGroup
	for _, token := range tokens {
		load.Go(func() {
			for !stop.Load() {
				got := []int{send(t, "GET", "http://"+r.api+shop, token), send(t, "GET", "http://"+r.api+"/v1/leaderboard", token), send(t, "PUT", like, token)}
				if fmt.Sprint(got) != "[200 200 204]" {
					t.Errorf("got %v", got)
				}
				answered.Add(3)
			}
		})
	}
	for _, fail := range []func(){b.redis.Cut, b.redis.Mend, b.redis.Freeze, b.redis.Cut, b.redis.Mend} {
		before := answered.Load()
		fail()
		time.Sleep(1500 * time.Millisecond)
		if answered.Load() == before {
			t.Error("nothing was answered")
		}
	}
	stop.Store(true)
	load.Wait()
	if got := r.probe("readyz"); got != http.StatusOK {
		t.Errorf("/readyz answers %d", got)
	}
	eventually(t, "all likes are counted", func() bool {
		body, _ := r.get(r.api, shop)
		return strings.Contains(body, `"likes":8}`)
	})
	t.Logf("%d answers", answered.Load())
}
