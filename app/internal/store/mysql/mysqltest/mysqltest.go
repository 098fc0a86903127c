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
	settings, err := driver.ParseDSN(dsn(t))
	if err != nil {
		t.Fatal(err)
	}
	server := Admin(t, "")
	name := fmt.Sprintf("slipway_test_%d_%d", os.Getpid(), time.Now().UnixNano())
	if _, err := server.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Exec("DROP DATABASE " + name) })
	host, port, _ := net.SplitHostPort(settings.Addr)
	number, _ := strconv.Atoi(port)
	return mysql.Options{Host: host, Port: number, Database: name, User: settings.User, Password: config.NewSecret(settings.Passwd)}
}

func dsn(t *testing.T) string {
	t.Helper()
	given := os.Getenv("TEST_MYSQL_DSN")
	if given == "" {
		t.Skip("TEST_MYSQL_DSN is not set: no MySQL to test with")
	}
	return given
}

// Admin is connected with all rights, to this database if one is named.
func Admin(t *testing.T, database string) *sql.DB {
	t.Helper()
	server, err := sql.Open("mysql", dsn(t)+database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

// Serving makes an account that may read and write the rows of the database, and nothing else.
func Serving(t *testing.T, admin *sql.DB, options mysql.Options) mysql.Options {
	t.Helper()
	options.User, options.Password = fmt.Sprintf("serving%d", time.Now().UnixNano()), config.NewSecret("serving")
	t.Cleanup(func() { admin.Exec("DROP USER " + options.User) })
	for _, statement := range []string{
		"CREATE USER " + options.User + " IDENTIFIED BY 'serving'",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON " + options.Database + ".* TO " + options.User,
	} {
		if _, err := admin.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return options
}

// ReadOnlySessions is the variable that has sessions refuse to write: MariaDB has an older name for it.
func ReadOnlySessions(t *testing.T, admin *sql.DB) (variable string) {
	t.Helper()
	var other string
	err := admin.QueryRow("SHOW VARIABLES WHERE variable_name IN ('tx_read_only', 'transaction_read_only')").Scan(&variable, &other)
	if err != nil {
		t.Fatal(err)
	}
	return variable
}

// Exec changes the database behind the store's back.
func Exec(t *testing.T, options mysql.Options, statement string, args ...any) {
	t.Helper()
	if _, err := Admin(t, options.Database).ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// Count returns the number of rows of a table.
func Count(t *testing.T, options mysql.Options, table string) (rows int) {
	t.Helper()
	if err := Admin(t, options.Database).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}
