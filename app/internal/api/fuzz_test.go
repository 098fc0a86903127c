package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"slipway/app/internal/config"
	"slipway/app/internal/store"
)

func FuzzOnlyIssuedCursorsAreAccepted(f *testing.F) {
	c := newCursors([]config.Secret{config.NewSecret("fuzz")})
	issued := c.encode(cursor{id: store.ID{1, 2, 3}})
	f.Add(issued)
	f.Add(c.encode(cursor{store.ID{1, 2, 3}, true}))
	f.Add(issued + "\n")
	for _, lastBits := range "ABCD" {
		f.Add(issued[:len(issued)-1] + string(lastBits))
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := c.decode(text); err == nil && c.encode(id) != text {
			t.Errorf("%q was accepted as %q", text, c.encode(id))
		}
	})
}

// checkRefusal reports whether err is not nil. It fails unless err is a problem that tells the client what to change.
func checkRefusal(t *testing.T, err error) (refused bool) {
	t.Helper()
	var p *problem
	switch {
	case err == nil:
		return false
	case !errors.As(err, &p):
		t.Fatalf("%v is not a problem", err)
	case p.Status != http.StatusBadRequest && p.Status != http.StatusUnprocessableEntity:
		t.Errorf("refused with %d", p.Status)
	case p.Status == http.StatusUnprocessableEntity && len(p.Errors) == 0:
		t.Error("no field is reported")
	}
	return true
}

func FuzzABodyIsAValidShopOrA4xx(f *testing.F) {
	f.Add([]byte(`{"name": "x", "city": "z", "description": "y\n"}`))
	f.Add([]byte(`{"name": "\ud800"}`))
	f.Add([]byte("{\n\"name\": 1e9, \"a.b\": [null]}"))
	read := func(content []byte) (store.ShopDraft, error) {
		body, err := decodeBody(content)
		if err != nil {
			return store.ShopDraft{}, err
		}
		return decodeShop(body)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		draft, err := read(content)
		if checkRefusal(t, err) {
			return
		}
		again, err := json.Marshal(draft)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := read(again); err != nil || back != draft {
			t.Errorf("%+v came back as %+v, %v", draft, back, err)
		}
	})
}

func FuzzAnyOtherBodyIsValidOrA4xx(f *testing.F) {
	f.Add([]byte(`{"stars": 5, "text": "y"}`))
	f.Add([]byte(`{"stars": 4.5}`))
	f.Add([]byte(`{"name": "x", "email": "A@example.org", "password": "1234567890"}`))
	f.Add([]byte(`{"email": "<a@b>", "password": ""}`))
	f.Add([]byte(`{"refreshToken": "AAAA"}`))
	decoders := []func(*body) error{
		func(b *body) error { _, _, err := decodeReview(b); return err },
		func(b *body) error { _, err := decodeSignUp(b); return err },
		func(b *body) error { _, _, err := decodeLogin(b); return err },
		func(b *body) error { _, _, err := decodeRefresh(b); return err },
		func(b *body) error { _, _, err := decodePasswordChange(b); return err },
		func(b *body) error { _, err := decodeDeletion(b); return err },
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, decode := range decoders {
			body, err := decodeBody(content)
			if !checkRefusal(t, err) {
				checkRefusal(t, decode(body))
			}
		}
	})
}
