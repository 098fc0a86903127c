package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipway/app/internal/store/mysql/mysqltest"
)

// send sends a request without a body and returns the status.
func send(t *testing.T, method, url, token string) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func TestTenThousandConcurrentLikesOnThreeReplicasAreCountedExactly(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	b := newBackends(t)
	b.addRedis()
	b.migrate()
	replicas := []*instance{startAPI(t, b.environment...), startAPI(t, b.environment...), startAPI(t, b.environment...)}
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
				for range 1 + number%10/9 { // every tenth twice, as after a lost response
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

// addShop repeats the request until the response is conclusive, as clients do.
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
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
		switch response.StatusCode {
		case http.StatusCreated:
			return
		case http.StatusServiceUnavailable, http.StatusConflict:
			time.Sleep(100 * time.Millisecond)
		default:
			t.Errorf("%s: %d", name, response.StatusCode)
			return
		}
	}
	t.Errorf("%s was never added", name)
}

func TestRepeatedRequestsDuringStoreFailuresAddNothingTwice(t *testing.T) {
	b := newBackends(t)
	b.migrate()
	r := startAPI(t, b.environment...)
	tokens := b.tokens(20)
	const perClient = 15
	var clients sync.WaitGroup
	for number, token := range tokens {
		clients.Go(func() {
			for shop := range perClient {
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
			b.mysql.Freeze() // a request may succeed whose response is lost
			time.Sleep(50 * time.Millisecond)
			b.mysql.Cut()
			b.mysql.Restore()
		}
		if failures > 1000 {
			t.Fatal("the clients do not finish")
		}
	}
	var shops, names int
	err := mysqltest.Admin(t, b.options.Database).QueryRow("SELECT COUNT(*), COUNT(DISTINCT name) FROM shops").Scan(&shops, &names)
	if want := len(tokens) * perClient; err != nil || names != want || shops != want {
		t.Errorf("there are %d shops with %d names, want %d (%v)", shops, names, want, err)
	}
}

func TestRequestsSucceedWhileRedisStopsUnderLoad(t *testing.T) {
	b := newBackends(t)
	b.addRedis()
	b.migrate()
	r := startAPI(t, b.environment...)
	tokens := b.tokens(8)
	shop := fmt.Sprint("/v1/shops/", r.post("/v1/shops", `{"name": "x"}`, tokens[0])["id"])
	review := r.post(shop+"/reviews", `{"stars": 4}`, tokens[0])
	like := fmt.Sprint("http://", r.api, "/v1/reviews/", review["id"], "/like")

	var stop atomic.Bool
	var responses atomic.Int32
	var load sync.WaitGroup
	for _, token := range tokens {
		load.Go(func() {
			for !stop.Load() {
				got := []int{send(t, "GET", "http://"+r.api+shop, token), send(t, "GET", "http://"+r.api+"/v1/leaderboard", token), send(t, "PUT", like, token)}
				if fmt.Sprint(got) != "[200 200 204]" {
					t.Errorf("got %v", got)
				}
				responses.Add(3)
			}
		})
	}
	for _, fail := range []func(){b.redis.Cut, b.redis.Restore, b.redis.Freeze, b.redis.Cut, b.redis.Restore} {
		before := responses.Load()
		fail()
		time.Sleep(1500 * time.Millisecond)
		if responses.Load() == before {
			t.Error("there were no responses")
		}
	}
	stop.Store(true)
	load.Wait()
	if got := r.probe("readyz"); got != http.StatusOK {
		t.Errorf("/readyz responds %d", got)
	}
	eventually(t, "all likes are counted", func() bool {
		body, _ := r.get(r.api, shop)
		return strings.Contains(body, `"likes":8}`)
	})
	t.Logf("%d responses", responses.Load())
}
