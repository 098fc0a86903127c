package mysql_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"slipway/app/internal/store"
	"slipway/app/internal/store/mysql"
	"slipway/app/internal/store/mysql/mysqltest"
)

// reviewed adds a shop with one review that is not recounted yet.
func reviewed(t *testing.T, s *mysql.Store) (shop, review, author store.ID) {
	t.Helper()
	author = userOf(t, s, "author")
	added, err := s.AddShop(t.Context(), author, store.ShopDraft{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	written, err := s.AddReview(t.Context(), store.ReviewDraft{Shop: added.ID, Author: author, Stars: 4})
	if err != nil {
		t.Fatal(err)
	}
	return added.ID, written.ID, author
}

// overdue makes all changes due, and returns the overdue ones with their tries.
func overdue(t *testing.T, s *mysql.Store, options mysql.Options) (tries map[store.Change]int) {
	t.Helper()
	execute(t, mysqltest.Admin(t, options.Database), "UPDATE recounts SET due_at = UTC_TIMESTAMP(3)")
	tries = map[store.Change]int{}
	all, err := s.Overdue(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range all {
		tries[change.Change] = change.Tries
	}
	return tries
}

func TestAChangeIsOverdueUntilItIsRecounted(t *testing.T) {
	s, options := migrated(t)
	shop, review, author := reviewed(t, s)
	written := store.Change{Shop: shop}
	if err := s.Recount(t.Context(), written); err != nil {
		t.Fatal(err)
	}
	if changes := overdue(t, s, options); len(changes) != 0 {
		t.Errorf("it was recounted, but %v is overdue", changes)
	}
	liked, err := s.Like(t.Context(), review, author)
	if err != nil {
		t.Fatal(err)
	}
	if early, err := s.Overdue(t.Context(), 100); err != nil || len(early) != 0 {
		t.Errorf("%v, %v: overdue too early", early, err)
	}
	for tries := range 3 {
		changes := overdue(t, s, options)
		if got, ok := changes[liked]; len(changes) != 1 || !ok || got != tries {
			t.Errorf("got %v, want %v with %d tries", changes, liked, tries)
		}
		if again, err := s.Overdue(t.Context(), 100); err != nil || len(again) != 0 {
			t.Errorf("%v, %v: another replica has it already", again, err)
		}
	}
	if err := s.Recount(t.Context(), liked); err != nil {
		t.Fatal(err)
	}
	if changes := overdue(t, s, options); len(changes) != 0 {
		t.Errorf("it was recounted, but %v is overdue", changes)
	}
}

func TestOneReplicaGetsAnOverdueChange(t *testing.T) {
	s, options := migrated(t)
	_, review, _ := reviewed(t, s)
	for number := range 5 {
		if _, err := s.Like(t.Context(), review, userOf(t, s, string(rune('a'+number)))); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, mysqltest.Admin(t, options.Database), "UPDATE recounts SET due_at = UTC_TIMESTAMP(3)")
	var mu sync.Mutex
	times := map[store.Change]int{}
	var replicas sync.WaitGroup
	for range 8 {
		replicas.Go(func() {
			changes, err := s.Overdue(t.Context(), 100)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			for _, change := range changes {
				times[change.Change]++
			}
		})
	}
	replicas.Wait()
	if len(times) != 2 { // the likes of the review are one change
		t.Errorf("%d changes were overdue", len(times))
	}
	for change, got := range times {
		if got != 1 {
			t.Errorf("%v was handed out %d times", change, got)
		}
	}
}

func TestARecountInTheBackgroundMayTakeLongerThanInARequest(t *testing.T) {
	inRequest, options := migrated(t)
	shop, _, _ := reviewed(t, inRequest)
	options.Timeout = 10 * time.Second
	background := open(t, options)
	tx, err := mysqltest.Admin(t, options.Database).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("SELECT id FROM shops WHERE id = ? FOR UPDATE", shop[:]); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(2*time.Second, func() { tx.Rollback() })
	if err := inRequest.Recount(context.WithoutCancel(t.Context()), store.Change{Shop: shop}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := background.Recount(t.Context(), store.Change{Shop: shop}); err != nil {
		t.Error(err)
	}
}

func TestTheMigrationMakesARecountOfEachShopDue(t *testing.T) {
	s, options := migrated(t)
	shop, _, _ := reviewed(t, s)
	admin := mysqltest.Admin(t, options.Database)
	execute(t, admin, "DROP TABLE recounts, idempotency_keys") // as before the migration, when counts could be lost
	execute(t, admin, "DELETE FROM goose_db_version WHERE version_id >= 16")
	if err := migrate(t.Context(), options, mysql.Migrations()); err != nil {
		t.Fatal(err)
	}
	if changes, err := s.Overdue(t.Context(), 100); err != nil || len(changes) != 1 || changes[0].Change != (store.Change{Shop: shop}) {
		t.Errorf("got %v, %v", changes, err)
	}
}
