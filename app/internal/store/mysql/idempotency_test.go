package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"slipway/app/internal/store"
	"slipway/app/internal/store/mysql/mysqltest"
)

func keyed(t *testing.T, number byte) context.Context {
	return store.WithIdempotencyKey(t.Context(), func() store.IdempotencyKey {
		return store.IdempotencyKey{Key: [32]byte{number}, Request: [32]byte{1}}
	})
}

func TestAKeyWhoseFirstRequestIsStillRunningIsInUse(t *testing.T) {
	s, options := migrated(t)
	creator := userOf(t, s, "creator")
	first, err := mysqltest.Admin(t, options.Database).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Rollback()
	key := [32]byte{1}
	if _, err := first.Exec("INSERT INTO idempotency_keys VALUES (?, ?, '', UTC_TIMESTAMP(3))", key[:], key[:]); err != nil {
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

func TestAKeyIsForgottenAfterADay(t *testing.T) {
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
