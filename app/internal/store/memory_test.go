package store_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"slipway/app/internal/store"
	"slipway/app/internal/store/storetest"
)

func TestMemoryFulfilsTheStoreContract(t *testing.T) {
	storetest.Contract(t, func(*testing.T) store.Store { return &store.Memory{} })
}

func TestAFullStoreRefusesAdditionsAndKeepsServing(t *testing.T) {
	full := &store.Memory{}
	user, err := full.AddUser(t.Context(), store.UserDraft{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for range store.Capacity {
		if _, err := full.AddShop(t.Context(), user.ID, store.ShopDraft{Name: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := full.AddShop(t.Context(), user.ID, store.ShopDraft{}); !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v", err)
	}
	if page, err := full.Shops(t.Context(), "", store.Page{Limit: 1}); err != nil || len(page) != 1 {
		t.Errorf("got %v, %v", page, err)
	}
}

func TestReuseOfARefreshTokenAfterTheGracePeriodEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store.Memory{}
		user, err := st.AddUser(t.Context(), store.UserDraft{Email: "ada@example.org"})
		if err != nil {
			t.Fatal(err)
		}
		session, err := st.AddSession(t.Context(), user, store.SecretHash{1}, store.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		renew := func(current byte) error {
			_, err := st.RenewSession(t.Context(), session.ID, store.SecretHash{current}, store.SecretHash{2}, store.Now().Add(time.Hour))
			return err
		}
		for range 2 {
			if err := renew(1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(store.RenewalGrace - time.Millisecond)
		}
		for hash := byte(1); hash <= 2; hash++ {
			if err := renew(hash); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("hash %d: %v", hash, err)
			}
		}
	})
}

func TestExpiredSessionsMakeRoomForNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := &store.Memory{}
		var user store.User
		logins := 0
		login := func() (err error) {
			if logins%store.SessionsPerUser == 0 {
				user, err = full.AddUser(t.Context(), store.UserDraft{Email: fmt.Sprint(logins)})
				if err != nil {
					t.Fatal(err)
				}
			}
			logins++
			_, err = full.AddSession(t.Context(), user, store.SecretHash{}, store.Now().Add(time.Minute))
			return err
		}
		for range store.Capacity {
			if err := login(); err != nil {
				t.Fatal(err)
			}
		}
		if err := login(); !errors.Is(err, store.ErrFull) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Minute)
		if err := login(); err != nil {
			t.Errorf("got %v", err)
		}
	})
}
