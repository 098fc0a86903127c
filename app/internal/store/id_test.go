package store_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/app/internal/store"
)

// asIDMaker makes this test binary write so many ids and end.
const asIDMaker = "SLIPWAY_TEST_MAKES_IDS"

func TestMain(m *testing.M) {
	if os.Getenv(asIDMaker) != "" {
		makeIDs(os.Stdout)
		return
	}
	os.Exit(m.Run())
}

const (
	makers   = 8
	perMaker = 125_000
)

func makeIDs(w io.Writer) {
	var ids store.IDs
	var all bytes.Buffer
	for range perMaker {
		id := ids.Next(store.Now())
		all.Write(id[:])
	}
	w.Write(all.Bytes())
}

func TestAMillionIDsOfEightProcessesAreUnique(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	outputs := make([][]byte, makers)
	var all sync.WaitGroup
	for number := range outputs {
		all.Go(func() {
			maker := exec.CommandContext(t.Context(), os.Args[0])
			maker.Env = append(os.Environ(), asIDMaker+"=1")
			var err error
			if outputs[number], err = maker.Output(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := make(map[store.ID]bool, makers*perMaker)
	for _, output := range outputs {
		var last store.ID
		for ; len(output) >= len(last); output = output[len(last):] {
			id := store.ID(output[:len(last)])
			if seen[id] || bytes.Compare(id[:], last[:]) <= 0 {
				t.Fatalf("%v is a duplicate, or not after %v", id, last)
			}
			seen[id], last = true, id
		}
	}
	if len(seen) != makers*perMaker {
		t.Errorf("%d ids", len(seen))
	}
}

func TestIDsSortByTheTimeTheyWereMade(t *testing.T) {
	var ids store.IDs
	var last store.ID
	// The clock stands still within a burst, steps back after it, and a burst is longer than the counter of 1 ms.
	now := time.Now()
	for step := range 3 {
		for range 5000 {
			id := ids.Next(now.Add(-time.Duration(step) * time.Second))
			if bytes.Compare(id[:], last[:]) <= 0 {
				t.Fatalf("%v made after %v", id, last)
			}
			last = id
		}
	}
}

func TestAnIDIsAUUIDOfVersion7ThatTellsItsTime(t *testing.T) {
	var ids store.IDs
	id := ids.Next(time.UnixMilli(946684800000)).String()
	if want := fmt.Sprintf("%012x", 946684800000); id[:8]+id[9:13] != want {
		t.Errorf("%s does not begin with %s", id, want)
	}
	if parsed, err := store.ParseID(id); err != nil || !parsed.Time().Equal(time.UnixMilli(946684800000)) {
		t.Errorf("%s was made at %v, %v", id, parsed.Time(), err)
	}
	if id[14] != '7' || !strings.ContainsRune("89ab", rune(id[19])) {
		t.Errorf("%s has not version 7 and the RFC's variant", id)
	}
}

func TestAnIDIsReadBackOnlyAsItWasWritten(t *testing.T) {
	var ids store.IDs
	id := ids.Next(time.Now())
	if got, err := store.ParseID(id.String()); err != nil || got != id {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "1", id.String() + "0", "0192f0c4-7b1e-7abc-8def-01234567890G", "0192F0C4-7b1e-7abc-8def-012345678901", "0192f0c4+7b1e-7abc-8def-012345678901"} {
		if got, err := store.ParseID(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}
