package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"slipway/app/internal/config"
	"slipway/app/internal/store"
)

func FuzzOnlyACursorGivenOutIsTaken(f *testing.F) {
	c := newCursors(config.NewSecret("fuzz"))
	given := c.encode(store.ID{1, 2, 3})
	f.Add(given)
	f.Add(given + "\n")
	for _, lastBits := range "ABCD" {
		f.Add(given[:len(given)-1] + string(lastBits))
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := c.decode(text); err == nil && c.encode(id) != text {
			t.Errorf("%q was taken for %q", text, c.encode(id))
		}
	})
}

func FuzzABodyIsAValidItemOrA4xx(f *testing.F) {
	f.Add([]byte(`{"name": "x", "description": "y"}`))
	f.Add([]byte(`{"name": "\ud800"}`))
	f.Add([]byte("{\n\"name\": 1e9, \"a.b\": [null]}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		draft, err := decodeDraft(content)
		var refused *problem
		switch {
		case errors.As(err, &refused):
			if refused.Status != http.StatusBadRequest && refused.Status != http.StatusUnprocessableEntity {
				t.Errorf("refused with %d", refused.Status)
			}
			return
		case err != nil:
			t.Fatalf("%v is no problem a client could read", err)
		}
		again, err := json.Marshal(draft)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeDraft(again); err != nil || back != draft {
			t.Errorf("%+v came back as %+v, %v", draft, back, err)
		}
	})
}
