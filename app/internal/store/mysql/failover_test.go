package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"slipway/app/internal/outage"
	"slipway/app/internal/store"
	"slipway/app/internal/store/mysql"
	"slipway/app/internal/store/mysql/mysqltest"
)

const connections = 10

// fillPool makes the store open all connections of its pool.
func fillPool(t *testing.T, s *mysql.Store, admin *sql.DB) {
	t.Helper()
	unlock := lockTable(t, admin, "users")
	var callers sync.WaitGroup
	for range connections {
		callers.Go(func() { s.UserByEmail(t.Context(), "nobody@example.org") })
	}
	time.Sleep(300 * time.Millisecond)
	unlock()
	callers.Wait()
}

// lockTable makes all users of the table wait until unlock is called.
func lockTable(t *testing.T, admin *sql.DB, table string) (unlock func()) {
	t.Helper()
	conn, err := admin.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "LOCK TABLES "+table+" WRITE"); err != nil {
		t.Fatal(err)
	}
	unlock = sync.OnceFunc(func() {
		conn.ExecContext(context.WithoutCancel(t.Context()), "UNLOCK TABLES")
		conn.Close()
	})
	t.Cleanup(unlock)
	return unlock
}

func execute(t *testing.T, admin *sql.DB, statement string) {
	t.Helper()
	if _, err := admin.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// setGlobal sets a variable of new sessions until the test ends.
func setGlobal(t *testing.T, admin *sql.DB, variable string) {
	t.Helper()
	t.Cleanup(func() { execute(t, admin, "SET GLOBAL "+variable+" = 0") })
	execute(t, admin, "SET GLOBAL "+variable+" = 1")
}

// addUsers adds count users at the same time and returns the errors.
func addUsers(t *testing.T, s *mysql.Store, prefix string, count int) (failed []error) {
	var mu sync.Mutex
	var callers sync.WaitGroup
	for number := range count {
		callers.Go(func() {
			if _, err := s.AddUser(t.Context(), store.UserDraft{Email: fmt.Sprint(prefix, number), Name: "x"}); err != nil {
				mu.Lock()
				failed = append(failed, err)
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	return failed
}

// The open sessions refuse writes, like those to a former primary; new sessions accept them.
func TestNoWriteFailsOnOldConnectionsAfterAFailover(t *testing.T) {
	s, options := migrated(t)
	admin := mysqltest.Admin(t, options.Database)
	variable := mysqltest.ReadOnlyVariable(t, admin)
	setGlobal(t, admin, variable)
	fillPool(t, s, admin)
	execute(t, admin, "SET GLOBAL "+variable+" = 0")
	if failed := addUsers(t, s, "first", 50); len(failed) > 0 {
		t.Errorf("%d of 50 writes failed: %v", len(failed), failed[0])
	}
	for number := range 20 { // transactions, one after the other
		shop, err := s.AddShop(t.Context(), userOf(t, s, fmt.Sprint("creator", number)), store.ShopDraft{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddReview(t.Context(), store.ReviewDraft{Shop: shop.ID, Author: userOf(t, s, fmt.Sprint("author", number)), Stars: 3}); err != nil {
			t.Error(err)
		}
	}
}

func userOf(t *testing.T, s *mysql.Store, email string) store.ID {
	t.Helper()
	user, err := s.AddUser(t.Context(), store.UserDraft{Email: email, Name: email})
	if err != nil {
		t.Fatal(err)
	}
	return user.ID
}

func TestAReadOnlyServerIsUnavailableForWritesUntilItIsWritable(t *testing.T) {
	_, options := migrated(t)
	admin := mysqltest.Admin(t, options.Database)
	s := open(t, mysqltest.Unprivileged(t, admin, options)) // administrators can write despite read_only
	setGlobal(t, admin, "read_only")
	failed := addUsers(t, s, "early", 20)
	if len(failed) != 20 || !errors.Is(errors.Join(failed...), store.ErrUnavailable) || !strings.Contains(failed[0].Error(), "read-only") {
		t.Errorf("%d of 20 writes failed: %v", len(failed), failed)
	}
	if _, err := s.Leaders(t.Context(), 1); err != nil {
		t.Errorf("reading: %v", err)
	}
	execute(t, admin, "SET GLOBAL read_only = 0")
	if failed := addUsers(t, s, "late", 20); len(failed) > 0 {
		t.Errorf("%d of 20 writes failed: %v", len(failed), failed[0])
	}
}

func TestConnectionsToAnUnresponsiveServerAreClosedAtTheFirstCall(t *testing.T) {
	_, options := migrated(t)
	admin := mysqltest.Admin(t, options.Database)
	proxy := outage.NewProxy(t, fmt.Sprintf("%s:%d", options.Host, options.Port))
	options.Host, options.Port = proxy.Host(), proxy.Port()
	s := open(t, options)
	fillPool(t, s, admin)
	proxy.FailOver()
	if _, err := s.UserByEmail(t.Context(), "nobody@example.org"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if failed := addUsers(t, s, "x", 20); len(failed) > 0 {
		t.Errorf("%d of 20 writes failed: %v", len(failed), failed[0])
	}
}

func TestConnectionsAreClosedAfterAnyErrorOfTheServerButNotOfAStatement(t *testing.T) {
	failure := func(number uint16, state string) error {
		err := &driver.MySQLError{Number: number}
		copy(err.SQLState[:], state)
		return fmt.Errorf("add user: %w", err)
	}
	for name, test := range map[string]struct {
		err         error
		unusable    bool
		unavailable bool
	}{
		"--read-only":                     {failure(1290, "HY000"), true, true},
		"read-only transaction":           {failure(1792, "25006"), true, true},
		"read-only mode":                  {failure(1836, "HY000"), true, true},
		"Galera node without its cluster": {failure(1047, "08S01"), true, true},
		"group replication":               {failure(3100, "HY000"), true, true},
		"shutdown":                        {failure(1053, "08S01"), true, true},
		"an error of a future version":    {failure(9999, "HY000"), true, true},
		"no response in time":             {context.DeadlineExceeded, true, true},
		"connection broken":               {io.ErrUnexpectedEOF, true, true},
		"deadlock":                        {failure(1213, "40001"), false, true},
		"waited for a lock":               {failure(1205, "HY000"), false, true},
		"over the limit of MariaDB":       {failure(1969, "70100"), false, true},
		"over the limit of MySQL":         {failure(3024, "HY000"), false, true},
		"no table":                        {failure(1146, "42S02"), false, true},
		"duplicate":                       {failure(1062, "23000"), false, false},
		"text too long":                   {failure(1406, "22001"), false, false},
		"syntax":                          {failure(1064, "42000"), false, false},
		"canceled by the client":          {context.Canceled, false, false},
	} {
		if got := mysql.ServerUnusable(test.err); got != test.unusable {
			t.Errorf("%s: unusable: %v", name, got)
		}
		if got := errors.Is(mysql.Translate(test.err), store.ErrUnavailable); got != test.unavailable {
			t.Errorf("%s: unavailable: %v", name, got)
		}
	}
}

func TestTheServerStopsAnAbandonedRead(t *testing.T) {
	s, options := migrated(t)
	admin := mysqltest.Admin(t, options.Database)
	if err := s.SlowQuery(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	time.Sleep(200 * time.Millisecond)
	var running int
	err := admin.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT COUNT(*) FROM information_schema.collations%' AND db = ?", options.Database).Scan(&running)
	if err != nil || running != 0 {
		t.Errorf("%d are still running (%v)", running, err)
	}
}

func TestAFailedWriteThatWaitedForALockIsNotExecutedLater(t *testing.T) {
	s, options := migrated(t)
	admin := mysqltest.Admin(t, options.Database)
	creator := userOf(t, s, "creator")
	tx, err := admin.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("DELETE FROM users WHERE id = ?", creator[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddShop(t.Context(), creator, store.ShopDraft{Name: "x"}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	time.Sleep(500 * time.Millisecond)
	tx.Rollback()
	time.Sleep(500 * time.Millisecond)
	if shops, err := s.Shops(t.Context(), "", store.Page{Limit: 10}); err != nil || len(shops) != 0 {
		t.Errorf("the write was reported as failed, but there are %d shops (%v)", len(shops), err)
	}
}
