// Package mysqltest gives a test a database of its own.
package mysqltest

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"slipway/app/internal/config"
	"slipway/app/internal/store/mysql"
)

// Database makes an empty one on the server at TEST_MYSQL_DSN (user:password@tcp(host:port)/), for this test alone.
func Database(t *testing.T) mysql.Options {
	t.Helper()
	dsn := os.Getenv("TEST_MYSQL_DSN")
	if dsn == "" {
		t.Skip("TEST_MYSQL_DSN is not set: no MySQL to test with")
	}
	settings, err := driver.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	server, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("slipway_test_%d_%d", os.Getpid(), time.Now().UnixNano())
	if _, err := server.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Exec("DROP DATABASE " + name)
		server.Close()
	})
	host, port, _ := net.SplitHostPort(settings.Addr)
	number, _ := strconv.Atoi(port)
	return mysql.Options{Host: host, Port: number, Database: name, User: settings.User, Password: config.NewSecret(settings.Passwd)}
}

// Exec changes the database behind the store's back.
func Exec(t *testing.T, options mysql.Options, statement string, args ...any) {
	t.Helper()
	if _, err := connect(t, options).ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// Count returns the number of rows of a table.
func Count(t *testing.T, options mysql.Options, table string) (rows int) {
	t.Helper()
	if err := connect(t, options).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func connect(t *testing.T, options mysql.Options) *sql.DB {
	t.Helper()
	settings := driver.NewConfig()
	settings.Net, settings.Addr = "tcp", net.JoinHostPort(options.Host, strconv.Itoa(options.Port))
	settings.DBName, settings.User, settings.Passwd = options.Database, options.User, options.Password.Reveal()
	server, err := sql.Open("mysql", settings.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}
