package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"slipway/app/internal/config"
	"slipway/app/internal/outage"
	"slipway/app/internal/store"
	"slipway/app/internal/store/mysql"
	"slipway/app/internal/store/mysql/mysqltest"
	"slipway/app/internal/store/storetest"
)

func migrate(ctx context.Context, options mysql.Options, migrations fs.FS) error {
	return mysql.Migrate(ctx, options, migrations, 0, slog.New(slog.DiscardHandler))
}

func open(t *testing.T, options mysql.Options) *mysql.Store {
	t.Helper()
	opened, err := mysql.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return opened
}

// migrated returns an empty store with an up-to-date schema.
func migrated(t *testing.T) (*mysql.Store, mysql.Options) {
	t.Helper()
	options := mysqltest.Database(t)
	if err := migrate(t.Context(), options, mysql.Migrations()); err != nil {
		t.Fatal(err)
	}
	return open(t, options), options
}

func TestTheMySQLStoreFulfilsTheStoreContract(t *testing.T) {
	mysqltest.Database(t)
	storetest.Contract(t, func(t *testing.T) store.Store {
		empty, _ := migrated(t)
		return empty
	})
}

func TestOnlySlowStatementsAreReported(t *testing.T) {
	_, options := migrated(t)
	reported := 0
	options.OnSlow = func() { reported++ }
	for _, test := range []struct {
		slow time.Duration
		want int
	}{{time.Minute, 0}, {time.Nanosecond, 1}} {
		reported, options.Slow = 0, test.slow
		if err := open(t, options).Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if reported != test.want {
			t.Errorf("%d statements took longer than %s, want %d", reported, test.slow, test.want)
		}
	}
}

func TestReuseOfARefreshTokenAfterTheGracePeriodEndsTheSession(t *testing.T) {
	s, options := migrated(t)
	user, err := s.AddUser(t.Context(), store.UserDraft{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	end := store.Now().Add(time.Hour)
	session, err := s.AddSession(t.Context(), user, store.SecretHash{1}, end)
	if err != nil {
		t.Fatal(err)
	}
	renew := func(current byte) error {
		_, err := s.RenewSession(t.Context(), session.ID, store.SecretHash{current}, store.SecretHash{2}, end)
		return err
	}
	for range 2 {
		if err := renew(1); err != nil {
			t.Fatal(err)
		}
	}
	mysqltest.Exec(t, options, "UPDATE sessions SET renewed_at = ?", store.Now().Add(-store.RenewalGrace))
	for hash := byte(1); hash <= 2; hash++ {
		if err := renew(hash); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("hash %d: %v", hash, err)
		}
	}
}

func TestExpiredSessionsAreDeletedInBatches(t *testing.T) {
	s, options := migrated(t)
	user, err := s.AddUser(t.Context(), store.UserDraft{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddSession(t.Context(), user, store.SecretHash{1}, store.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	mysqltest.Exec(t, options, `INSERT INTO sessions (id, user_id, hash, expires_at)
		WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 900)
		SELECT UNHEX(MD5(a.number * 1000 + b.number)), user_id, hash, UTC_TIMESTAMP() - INTERVAL 1 SECOND
		FROM sessions, numbers a, numbers b WHERE b.number <= 3`)
	if err := s.DeleteExpiredSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := mysqltest.Count(t, options, "sessions"); left != 1 {
		t.Errorf("%d sessions are left", left)
	}
}

func TestConcurrentRunsMigrateOnce(t *testing.T) {
	options := mysqltest.Database(t)
	var runners sync.WaitGroup
	for range 8 {
		runners.Go(func() {
			if err := migrate(t.Context(), options, mysql.Migrations()); err != nil {
				t.Error(err)
			}
		})
	}
	runners.Wait()
	if err := open(t, options).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNeededVersionIsTheLastMigration(t *testing.T) {
	steps, err := fs.Glob(mysql.Migrations(), "*.sql")
	if err != nil || len(steps) == 0 {
		t.Fatal(steps, err)
	}
	if last := steps[len(steps)-1]; !strings.HasPrefix(last, fmt.Sprintf("%05d_", mysql.NeededVersion)) {
		t.Errorf("the last migration is %s, NeededVersion is %d", last, mysql.NeededVersion)
	}
}

func step(statement string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + statement + ";\n")}
}

func TestAFailedMigrationIsNamedAndCanBeRepeated(t *testing.T) {
	options := mysqltest.Database(t)
	steps := fstest.MapFS{
		"00001_good.sql": step("CREATE TABLE good (id INT)"), "00002_bad.sql": step("CREATE TABEL bad (id INT)"), "00003_after.sql": step("CREATE TABLE after_it (id INT)"),
	}
	err := migrate(t.Context(), options, steps)
	if err == nil || !strings.Contains(err.Error(), "migration 00002_bad.sql failed, nothing after it was done (1 steps before it were)") || !strings.Contains(err.Error(), "TABEL") {
		t.Errorf("got %v", err)
	}
	steps["00002_bad.sql"] = step("CREATE TABLE bad (id INT)")
	if err := migrate(t.Context(), options, steps); err != nil {
		t.Errorf("after it was repaired: %v", err)
	}
	if err := open(t, options).Check(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the schema has version 3, this program needs %d: run `api migrate`", mysql.NeededVersion)) {
		t.Errorf("got %v", err)
	}
}

func TestAMissingSchemaIsUnavailableAndTheErrorNamesTheFix(t *testing.T) {
	s := open(t, mysqltest.Database(t))
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "run `api migrate`") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Shop(t.Context(), store.ID{1}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAWrongPasswordIsReportedAndNotShown(t *testing.T) {
	options := mysqltest.Database(t)
	options.Password = config.NewSecret("canary")
	for _, err := range []error{open(t, options).Check(t.Context()), migrate(t.Context(), options, mysql.Migrations())} {
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "denied") {
			t.Errorf("got %v", err)
		}
	}
}

func TestMigrateWaitsForAServerThatStartsLater(t *testing.T) {
	options := mysqltest.Database(t)
	proxy := outage.NewProxy(t, fmt.Sprintf("%s:%d", options.Host, options.Port))
	proxy.Cut()
	options.Host, options.Port = proxy.Host(), proxy.Port()
	if err := migrate(t.Context(), options, mysql.Migrations()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	time.AfterFunc(300*time.Millisecond, proxy.Restore)
	if err := mysql.Migrate(t.Context(), options, mysql.Migrations(), 10*time.Second, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}

func TestCallsWithoutMySQLFailWithinASecondAndRecover(t *testing.T) {
	_, options := migrated(t)
	proxy := outage.NewProxy(t, fmt.Sprintf("%s:%d", options.Host, options.Port))
	options.Host, options.Port = proxy.Host(), proxy.Port()
	s := open(t, options)
	for name, fail := range map[string]func(){"stopped": proxy.Cut, "hanging": proxy.Freeze} {
		t.Run(name, func(t *testing.T) {
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			fail()
			var callers sync.WaitGroup
			for range 50 {
				callers.Go(func() {
					started := time.Now()
					_, err := s.Like(t.Context(), store.ID{1}, store.ID{2})
					if took := time.Since(started); !errors.Is(err, store.ErrUnavailable) || took > time.Second {
						t.Errorf("%v after %v", err, took)
					}
				})
			}
			callers.Wait()
			proxy.Cut()
			proxy.Restore()
			// A connection that broke during use fails once more.
			err := s.Check(t.Context())
			for restored := time.Now(); err != nil && time.Since(restored) < time.Second; err = s.Check(t.Context()) {
			}
			if err != nil {
				t.Errorf("not recovered: %v", err)
			}
		})
	}
}
