// Package mysqltest gives each test an empty database on a real MySQL or MariaDB server. Helpers for tests that need such
// a server belong here.
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

// Database creates an empty database on the server at TEST_MYSQL_DSN (user:password@tcp(host:port)/). It is dropped when
// the test ends.
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
	dsn := os.Getenv("TEST_MYSQL_DSN")
	if dsn == "" {
		t.Skip("TEST_MYSQL_DSN is not set: there is no MySQL to test with")
	}
	return dsn
}

// Admin returns a connection with all privileges, to this database unless it is "".
func Admin(t *testing.T, database string) *sql.DB {
	t.Helper()
	server, err := sql.Open("mysql", dsn(t)+database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

// Unprivileged creates an account that can only read and write the rows of the database, and returns options that use it.
func Unprivileged(t *testing.T, admin *sql.DB, options mysql.Options) mysql.Options {
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

// ReadOnlyVariable returns the name of the variable that makes sessions read-only: it differs in MariaDB.
func ReadOnlyVariable(t *testing.T, admin *sql.DB) (variable string) {
	t.Helper()
	var other string
	err := admin.QueryRow("SHOW VARIABLES WHERE variable_name IN ('tx_read_only', 'transaction_read_only')").Scan(&variable, &other)
	if err != nil {
		t.Fatal(err)
	}
	return variable
}

// Exec executes a statement on the database, without the store.
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
