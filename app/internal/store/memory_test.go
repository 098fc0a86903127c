package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"slipway/app/internal/store"
)

func add(t *testing.T, items store.Store, name string) store.Item {
	t.Helper()
	item, err := items.Add(t.Context(), store.Draft{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func TestIDsSortByTheTimeTheyWereMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items := &store.Memory{}
		var last store.ID
		// The fake clock stands still within a burst, and a burst is longer than the counter of one millisecond.
		for range 3 {
			for range 3000 {
				id := add(t, items, "x").ID
				if bytes.Compare(id[:], last[:]) <= 0 {
					t.Fatalf("%v made after %v", id, last)
				}
				last = id
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func TestAnIDIsAUUIDOfVersion7ThatTellsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := add(t, &store.Memory{}, "x").ID.String()
		// The fake clock starts at 2000-01-01T00:00:00Z: 946684800000 ms.
		if want := fmt.Sprintf("%012x", 946684800000); id[:8]+id[9:13] != want {
			t.Errorf("%s does not begin with %s", id, want)
		}
		if id[14] != '7' || !bytes.ContainsRune([]byte("89ab"), rune(id[19])) {
			t.Errorf("%s has not version 7 and the RFC's variant", id)
		}
	})
}

func TestAnIDIsReadBackOnlyAsItWasWritten(t *testing.T) {
	id := add(t, &store.Memory{}, "x").ID
	if got, err := store.ParseID(id.String()); err != nil || got != id {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "1", id.String() + "0", "0192f0c4-7b1e-7abc-8def-01234567890G", "0192F0C4-7b1e-7abc-8def-012345678901", "0192f0c4+7b1e-7abc-8def-012345678901"} {
		if got, err := store.ParseID(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestAnItemIsFoundByItsID(t *testing.T) {
	items := &store.Memory{}
	add(t, items, "before")
	wanted := add(t, items, "wanted")
	add(t, items, "after")
	if got, err := items.Get(t.Context(), wanted.ID); err != nil || got != wanted {
		t.Errorf("got %+v, %v, want %+v", got, err, wanted)
	}
	if _, err := items.Get(t.Context(), store.ID{1}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v for an unknown id", err)
	}
}

func TestAFullStoreRefusesAndKeepsServing(t *testing.T) {
	items := &store.Memory{}
	for range store.Capacity {
		add(t, items, "x")
	}
	if _, err := items.Add(t.Context(), store.Draft{Name: "one too many"}); !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v", err)
	}
	if page, err := items.List(t.Context(), store.ID{}, 1); err != nil || len(page) != 1 {
		t.Errorf("got %v, %v", page, err)
	}
}

func TestPagesHaveEachItemOnceWhileOthersWrite(t *testing.T) {
	items := &store.Memory{}
	var want []string
	for number := range 200 {
		want = append(want, add(t, items, fmt.Sprint(number)).Name)
	}
	slices.Reverse(want)

	var writers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					items.Add(t.Context(), store.Draft{Name: "new"})
				}
			}
		})
	}
	var got []string
	for before := (store.ID{}); ; {
		page, err := items.List(t.Context(), before, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, item := range page {
			if item.Name != "new" {
				got = append(got, item.Name)
			}
		}
		before = page[len(page)-1].ID
	}
	close(stop)
	writers.Wait()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
