package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/app/internal/redis/redistest"
	"slipway/app/internal/store/mysql/mysqltest"
)

// tlsServers returns the CA file of the servers at TEST_MYSQL_DSN and TEST_REDIS_TLS_PORT, and that port.
func tlsServers(t *testing.T) (authority, redisPort string) {
	t.Helper()
	authority, redisPort = os.Getenv("TEST_CA_FILE"), os.Getenv("TEST_REDIS_TLS_PORT")
	if authority == "" || redisPort == "" {
		t.Skip("TEST_CA_FILE or TEST_REDIS_TLS_PORT is not set: there are no servers with TLS to test with")
	}
	return authority, redisPort
}

func TestTheAPIUsesServersThatRequireTLSAndARedisUser(t *testing.T) {
	authority, redisPort := tlsServers(t)
	b := newBackends(t)
	admin := mysqltest.Admin(t, "")
	user := fmt.Sprintf("tls%d", time.Now().UnixNano())
	t.Cleanup(func() { admin.Exec("DROP USER " + user) })
	for _, statement := range []string{
		"CREATE USER " + user + " IDENTIFIED BY '" + b.options.Password.Reveal() + "' REQUIRE SSL",
		"GRANT ALL ON " + b.options.Database + ".* TO " + user,
	} {
		if _, err := admin.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	redisAdmin, _ := redistest.Client(t)
	if err := redisAdmin.Do(t.Context(), "ACL", "SETUSER", "shop", "on", ">for the shop", "~*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.secrets, "redis-password"), []byte("for the shop"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.environment = append([]string{
		"MYSQL_USER=" + user, "REDIS_HOST=127.0.0.1", "REDIS_PORT=" + redisPort, "REDIS_USER=shop",
		"MYSQL_TLS=verified", "REDIS_TLS=verified", "MYSQL_CA_FILE=" + authority, "REDIS_CA_FILE=" + authority,
	}, b.environment...)

	b.migrate()
	r := startAPI(t, b.environment...)
	shop := fmt.Sprint(r.post("/v1/shops", `{"name": "kept"}`, b.tokens(1)[0])["id"])
	if body, _ := r.get(r.api, "/v1/shops/"+shop); !strings.Contains(body, `"name":"kept"`) {
		t.Errorf("got %s", body)
	}
	if clients := redisAdmin.ClientList(t.Context()).Val(); !strings.Contains(clients, "user=shop") {
		t.Errorf("Redis is not used as that user: %s", clients)
	}
	t.Run("and fails without TLS or with another certificate authority", func(t *testing.T) {
		environment := b.environment
		for mode, want := range map[string]string{"disabled": "denied", "verified": "unknown authority"} {
			b.environment = append([]string{"MYSQL_TLS=" + mode, "MYSQL_CA_FILE="}, environment...)
			started := time.Now()
			err := run(t.Context(), []string{"api", "migrate"}, b.getenv, &bytes.Buffer{})
			if took := time.Since(started); err == nil || !strings.Contains(strings.ToLower(err.Error()), want) || took > 5*time.Second {
				t.Errorf("%s: %v after %s", mode, err, took)
			}
		}
	})
}
