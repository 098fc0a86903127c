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

// fillPool has the store open all its connections.
func fillPool(t *testing.T, s *mysql.Store, admin *sql.DB) {
	t.Helper()
	locked := lockTable(t, admin, "users")
	var callers sync.WaitGroup
	for range connections {
		callers.Go(func() { s.UserByEmail(t.Context(), "nobody@example.org") })
	}
	time.Sleep(300 * time.Millisecond)
	locked()
	callers.Wait()
}

// lockTable has everybody wait who uses the table, until unlock is called.
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

// setGlobal sets a variable for sessions to come until the test ends.
func setGlobal(t *testing.T, admin *sql.DB, variable string) {
	t.Helper()
	t.Cleanup(func() { execute(t, admin, "SET GLOBAL "+variable+" = 0") })
	execute(t, admin, "SET GLOBAL "+variable+" = 1")
}

// addUsers adds so many at the same time and returns the errors.
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

// The sessions of the pool refuse writes, as those do that lead to a former primary; new sessions take them.
func TestAfterAFailoverNoWriteFailsBecauseOfOldConnections(t *testing.T) {
	s, options := migrated(t)
	admin := mysqltest.Admin(t, options.Database)
	variable := mysqltest.ReadOnlySessions(t, admin)
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

func TestAServerThatIsReadOnlyIsUnavailableForWritesAndBackAtOnce(t *testing.T) {
	_, options := migrated(t)
	admin := mysqltest.Admin(t, options.Database)
	s := open(t, mysqltest.Serving(t, admin, options)) // read_only does not hold for an administrator
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

func TestConnectionsToAServerThatFellSilentAreDroppedAtTheFirstCall(t *testing.T) {
	_, options := migrated(t)
	admin := mysqltest.Admin(t, options.Database)
	line := outage.To(t, fmt.Sprintf("%s:%d", options.Host, options.Port))
	options.Host, options.Port = line.Host(), line.Port()
	s := open(t, options)
	fillPool(t, s, admin)
	line.FailOver()
	if _, err := s.UserByEmail(t.Context(), "nobody@example.org"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if failed := addUsers(t, s, "x", 20); len(failed) > 0 {
		t.Errorf("%d of 20 writes failed: %v", len(failed), failed[0])
	}
}

func TestAServerIsLeftWhateverItsWordsAreUnlessTheStatementIsWrong(t *testing.T) {
	answer := func(number uint16, state string) error {
		err := &driver.MySQLError{Number: number}
		copy(err.SQLState[:], state)
		return fmt.Errorf("add user: %w", err)
	}
	for name, each := range map[string]struct {
		err         error
		leaves      bool
		unavailable bool
	}{
		"--read-only":                     {answer(1290, "HY000"), true, true},
		"read-only transaction":           {answer(1792, "25006"), true, true},
		"read-only mode":                  {answer(1836, "HY000"), true, true},
		"Galera node without its cluster": {answer(1047, "08S01"), true, true},
		"group replication":               {answer(3100, "HY000"), true, true},
		"shutdown":                        {answer(1053, "08S01"), true, true},
		"words of a server to come":       {answer(9999, "HY000"), true, true},
		"no answer in time":               {context.DeadlineExceeded, true, true},
		"connection broken":               {io.ErrUnexpectedEOF, true, true},
		"deadlock":                        {answer(1213, "40001"), false, true},
		"waited for a lock":               {answer(1205, "HY000"), false, true},
		"over the limit of MariaDB":       {answer(1969, "70100"), false, true},
		"over the limit of MySQL":         {answer(3024, "HY000"), false, true},
		"no table":                        {answer(1146, "42S02"), false, true},
		"duplicate":                       {answer(1062, "23000"), false, false},
		"text too long":                   {answer(1406, "22001"), false, false},
		"syntax":                          {answer(1064, "42000"), false, false},
		"the client has gone":             {context.Canceled, false, false},
	} {
		if got := mysql.LeavesServer(each.err); got != each.leaves {
			t.Errorf("%s: leaves the server: %v", name, got)
		}
		if got := errors.Is(mysql.Translate(each.err), store.ErrUnavailable); got != each.unavailable {
			t.Errorf("%s: unavailable: %v", name, got)
		}
	}
}

func TestTheServerStopsAReadThatItsCallerGaveUp(t *testing.T) {
	s, options := migrated(t)
	admin := mysqltest.Admin(t, options.Database)
	if err := s.Compute(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	time.Sleep(200 * time.Millisecond)
	var running int
	err := admin.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT COUNT(*) FROM information_schema.collations%' AND db = ?", options.Database).Scan(&running)
	if err != nil || running != 0 {
		t.Errorf("%d still run (%v)", running, err)
	}
}

func TestAWriteThatWaitedForALockAndFailedIsNotDoneLater(t *testing.T) {
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
		t.Errorf("it was answered as failed, and there are %d shops (%v)", len(shops), err)
	}
}
