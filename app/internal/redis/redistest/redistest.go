// Package redistest gives a test a Redis of its own.
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

// Line empties the server at TEST_REDIS_URL (redis://:password@host:port) and returns a line to it that can be cut.
// Tests of several packages must not run at the same time: go test -p 1.
func Line(t *testing.T) (*outage.Line, redis.Options) {
	t.Helper()
	given := os.Getenv("TEST_REDIS_URL")
	if given == "" {
		t.Skip("TEST_REDIS_URL is not set: no Redis to test with")
	}
	address, err := url.Parse(given)
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
	line := outage.To(t, address.Host)
	return line, redis.Options{Host: line.Host(), Port: line.Port(), Password: config.NewSecret(password)}
}

// Client is connected over a line that can be cut.
func Client(t *testing.T) (*redis.Client, *outage.Line) {
	t.Helper()
	line, options := Line(t)
	client := redis.Open(options)
	t.Cleanup(func() { client.Close() })
	return client, line
}
