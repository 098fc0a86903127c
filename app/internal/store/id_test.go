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

// generateIDsEnv is the variable that makes this test binary write perProcess IDs and exit.
const generateIDsEnv = "SLIPWAY_TEST_MAKES_IDS"

func TestMain(m *testing.M) {
	if os.Getenv(generateIDsEnv) != "" {
		writeIDs(os.Stdout)
		return
	}
	os.Exit(m.Run())
}

const (
	processes  = 8
	perProcess = 125_000
)

func writeIDs(w io.Writer) {
	var ids store.IDs
	var all bytes.Buffer
	for range perProcess {
		id := ids.Next(store.Now())
		all.Write(id[:])
	}
	w.Write(all.Bytes())
}

func TestAMillionIDsOfEightProcessesAreUnique(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	outputs := make([][]byte, processes)
	var all sync.WaitGroup
	for number := range outputs {
		all.Go(func() {
			process := exec.CommandContext(t.Context(), os.Args[0])
			process.Env = append(os.Environ(), generateIDsEnv+"=1")
			var err error
			if outputs[number], err = process.Output(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := make(map[store.ID]bool, processes*perProcess)
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
	if len(seen) != processes*perProcess {
		t.Errorf("%d IDs", len(seen))
	}
}

func TestIDsSortInTheOrderOfTheirGeneration(t *testing.T) {
	var ids store.IDs
	var last store.ID
	// The clock stands still during a burst and steps back after it. A burst overflows the counter of 1 ms.
	now := time.Now()
	for step := range 3 {
		for range 5000 {
			id := ids.Next(now.Add(-time.Duration(step) * time.Second))
			if bytes.Compare(id[:], last[:]) <= 0 {
				t.Fatalf("%v generated after %v", id, last)
			}
			last = id
		}
	}
}

func TestAnIDIsAVersion7UUIDWithItsTime(t *testing.T) {
	var ids store.IDs
	id := ids.Next(time.UnixMilli(946684800000)).String()
	if want := fmt.Sprintf("%012x", 946684800000); id[:8]+id[9:13] != want {
		t.Errorf("%s does not begin with %s", id, want)
	}
	if parsed, err := store.ParseID(id); err != nil || !parsed.Time().Equal(time.UnixMilli(946684800000)) {
		t.Errorf("%s was generated at %v, %v", id, parsed.Time(), err)
	}
	if id[14] != '7' || !strings.ContainsRune("89ab", rune(id[19])) {
		t.Errorf("%s does not have version 7 and the variant of the RFC", id)
	}
}

func TestOnlyTheExactTextOfAnIDIsParsed(t *testing.T) {
	var ids store.IDs
	id := ids.Next(time.Now())
	if got, err := store.ParseID(id.String()); err != nil || got != id {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "1", id.String() + "0", "0192f0c4-7b1e-7abc-8def-01234567890G", "0192F0C4-7b1e-7abc-8def-012345678901", "0192f0c4+7b1e-7abc-8def-012345678901"} {
		if got, err := store.ParseID(text); err == nil {
			t.Errorf("%q was parsed as %v", text, got)
		}
	}
}
