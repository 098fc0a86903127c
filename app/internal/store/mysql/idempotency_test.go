package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"slipway/app/internal/store"
	"slipway/app/internal/store/mysql"
	"slipway/app/internal/store/mysql/mysqltest"
)

// keyed returns a context with an idempotency key.
func keyed(t *testing.T, number byte) context.Context {
	return store.WithIdempotencyKey(t.Context(), func() store.IdempotencyKey {
		return store.IdempotencyKey{Key: [32]byte{number}, Request: [32]byte{1}}
	})
}

// previousAddKey is the statement of the previous version, whose pods still run during a rollout.
const previousAddKey = "INSERT INTO idempotency_keys (id, request, result, created_at) VALUES (?, ?, '', UTC_TIMESTAMP(3))"

func TestAKeyWhoseFirstRequestIsStillRunningIsInUse(t *testing.T) {
	s, options := migrated(t)
	creator := userOf(t, s, "creator")
	first, err := mysqltest.Admin(t, options.Database).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Rollback()
	key := [32]byte{1}
	if _, err := first.Exec(previousAddKey, key[:], key[:]); err != nil {
		t.Fatal(err)
	}
	_, err = s.AddShop(keyed(t, 1), creator, store.ShopDraft{Name: "x"})
	// MySQL has no limit for a statement that writes, other than the time of the whole call.
	if !errors.Is(err, store.ErrKeyInUse) && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	first.Rollback()
	if _, err := s.AddShop(keyed(t, 1), creator, store.ShopDraft{Name: "x"}); err != nil {
		t.Errorf("the first one added nothing: %v", err)
	}
}

func TestExpiredKeysAreRemoved(t *testing.T) {
	s, options := migrated(t)
	for number := range byte(5) {
		if _, err := s.AddUser(keyed(t, number), store.UserDraft{Email: fmt.Sprint(number)}); err != nil {
			t.Fatal(err)
		}
	}
	admin := mysqltest.Admin(t, options.Database)
	execute(t, admin, fmt.Sprintf("UPDATE idempotency_keys SET created_at = UTC_TIMESTAMP(3) - INTERVAL %d SECOND LIMIT 3", int((store.IdempotencyLifetime+time.Minute).Seconds())))
	for _, want := range []int64{2, 1, 0} {
		if removed, err := s.RemoveExpiredKeys(t.Context(), 2); err != nil || removed != want {
			t.Errorf("%d were removed, want %d (%v)", removed, want, err)
		}
	}
	var left int
	if err := admin.QueryRow("SELECT COUNT(*) FROM idempotency_keys").Scan(&left); err != nil || left != 2 {
		t.Errorf("%d are left (%v)", left, err)
	}
}

// countKeys returns the number of keys of all users.
func countKeys(t *testing.T, options mysql.Options) (count int) {
	t.Helper()
	if err := mysqltest.Admin(t, options.Database).QueryRow("SELECT COUNT(*) FROM idempotency_keys").Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}

func TestDeletingAUserDeletesTheKeyOfTheirSignUp(t *testing.T) {
	s, options := migrated(t)
	ada, err := s.AddUser(keyed(t, 1), store.UserDraft{Email: "ada@example.org", Name: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddUser(keyed(t, 2), store.UserDraft{Email: "bob@example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteUser(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	if count := countKeys(t, options); count != 1 {
		t.Errorf("%d keys are left, want only bob's", count)
	}
}

func TestDeletingAUserDeletesTheKeysOfTheirAdditions(t *testing.T) {
	s, options := migrated(t)
	ada, shop := reviewer(t, s)
	if _, err := s.AddShop(keyed(t, 1), ada.ID, store.ShopDraft{Name: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddReview(keyed(t, 2), store.ReviewDraft{Shop: shop, Author: ada.ID, Stars: 4, Text: "personal"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteUser(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	if count := countKeys(t, options); count != 0 {
		t.Errorf("%d keys are left", count)
	}
}

// reviewer returns a user with one review, and a shop that they have not reviewed.
func reviewer(t *testing.T, s *mysql.Store) (ada store.User, shop store.ID) {
	t.Helper()
	ada, err := s.AddUser(t.Context(), store.UserDraft{Email: "ada@example.org", Name: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	reviewed, err := s.AddShop(t.Context(), ada.ID, store.ShopDraft{Name: "reviewed"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddReview(t.Context(), store.ReviewDraft{Shop: reviewed.ID, Author: ada.ID, Stars: 4}); err != nil {
		t.Fatal(err)
	}
	another, err := s.AddShop(t.Context(), userOf(t, s, "creator"), store.ShopDraft{Name: "another"})
	if err != nil {
		t.Fatal(err)
	}
	return ada, another.ID
}

func TestARequestDuringTheDeletionOfItsUserLeavesNoKey(t *testing.T) {
	for _, test := range []struct {
		name          string
		deletionFirst bool
		want          error // of the request
	}{{"the request comes first", false, nil}, {"the deletion comes first", true, store.ErrNotFound}} {
		t.Run(test.name, func(t *testing.T) {
			_, options := migrated(t)
			options.Timeout = 10 * time.Second
			s := open(t, options)
			ada, shop := reviewer(t, s)
			add := func() {
				_, err := s.AddReview(keyed(t, 1), store.ReviewDraft{Shop: shop, Author: ada.ID, Stars: 4, Text: "personal"})
				if !errors.Is(err, test.want) {
					t.Errorf("the request got %v, want %v", err, test.want)
				}
			}
			remove := func() {
				if _, err := s.DeleteUser(t.Context(), ada); err != nil {
					t.Error(err)
				}
			}
			first, second := add, remove
			if test.deletionFirst {
				first, second = remove, add
			}
			overlap(t, options, first, second)
			if count := countKeys(t, options); count != 0 {
				t.Errorf("%d keys are left", count)
			}
		})
	}
}

// overlap runs both, so that second begins and waits while first is at the end of its transaction: first has to wait for
// the lock on the table recounts.
func overlap(t *testing.T, options mysql.Options, first, second func()) {
	t.Helper()
	admin := mysqltest.Admin(t, options.Database)
	holder, err := admin.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, err := holder.ExecContext(t.Context(), "LOCK TABLES recounts WRITE"); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	defer both.Wait()
	defer holder.ExecContext(context.WithoutCancel(t.Context()), "UNLOCK TABLES")
	both.Go(first)
	waitUntilPositive(t, admin, "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND state = 'Waiting for table metadata lock'")
	both.Go(second)
	waitUntilPositive(t, admin, "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")
}

// waitUntilPositive repeats the query until its count is not 0. The server refreshes innodb_trx only after it was not
// read for 100 ms.
func waitUntilPositive(t *testing.T, admin *sql.DB, count string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(150 * time.Millisecond) {
		var got int
		err := admin.QueryRow(count).Scan(&got)
		if err != nil || time.Now().After(end) {
			t.Errorf("%s: still 0 (%v)", count, err)
			return
		}
		if got > 0 {
			return
		}
	}
}

func TestThePreviousVersionCanAddKeysInTheNewSchema(t *testing.T) {
	s, options := migrated(t)
	creator := userOf(t, s, "creator")
	shop, err := s.AddShop(keyed(t, 1), creator, store.ShopDraft{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	admin := mysqltest.Admin(t, options.Database)
	key, request := [32]byte{2}, [32]byte{1}
	if _, err := admin.Exec(previousAddKey, key[:], request[:]); err != nil {
		t.Fatal(err)
	}
	execute(t, admin, "UPDATE idempotency_keys SET result = (SELECT result FROM (SELECT * FROM idempotency_keys) k WHERE result <> '')")
	if again, err := s.AddShop(keyed(t, 2), creator, store.ShopDraft{Name: "x"}); err != nil || again.ID != shop.ID {
		t.Errorf("got %v, %v for a key of the previous version, want %v", again, err, shop)
	}
}
