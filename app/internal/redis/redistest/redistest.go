// Package redistest connects tests to a real Redis server that they may empty. Helpers for tests that need Redis belong
// here.
package redistest

import (
	"net/url"
	"os"
	"strconv"
	"testing"

	"slipway/app/internal/config"
	"slipway/app/internal/outage"
	"slipway/app/internal/redis"
)

// Proxy empties the server at TEST_REDIS_URL (redis://:password@host:port) and returns a proxy to it, with options that
// connect through the proxy. All packages share the server, so run their tests one after another: go test -p 1.
func Proxy(t *testing.T) (*outage.Proxy, redis.Options) {
	t.Helper()
	text := os.Getenv("TEST_REDIS_URL")
	if text == "" {
		t.Skip("TEST_REDIS_URL is not set: there is no Redis to test with")
	}
	address, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := address.User.Password()
	port, _ := strconv.Atoi(address.Port())
	direct := redis.Open(redis.Options{Host: address.Hostname(), Port: port, Password: config.NewSecret(password)})
	defer direct.Close()
	if err := direct.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	proxy := outage.NewProxy(t, address.Host)
	return proxy, redis.Options{Host: proxy.Host(), Port: proxy.Port(), Password: config.NewSecret(password)}
}

// Client returns a client that is connected through a proxy, and the proxy.
func Client(t *testing.T) (*redis.Client, *outage.Proxy) {
	t.Helper()
	proxy, options := Proxy(t)
	client := redis.Open(options)
	t.Cleanup(func() { client.Close() })
	return client, proxy
}
