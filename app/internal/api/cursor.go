package api

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"slipway/app/internal/config"
	"slipway/app/internal/store"
)

// cursors turns the place a page ends at into text that means nothing to clients, and takes back only its own.
type cursors struct{ key []byte }

const macSize = 16

func newCursors(signingKey config.Secret) cursors {
	// A key for this one purpose: what signs cursors can never sign anything else.
	key, err := hkdf.Key(sha256.New, []byte(signingKey.Reveal()), nil, "slipway/v1/items/cursor", sha256.Size)
	if err != nil {
		panic(err) // only for a size beyond what SHA-256 can give
	}
	return cursors{key}
}

func (c cursors) encode(last store.ID) string {
	return base64.RawURLEncoding.EncodeToString(append(last[:], c.mac(last)...))
}

var errForeignCursor = errors.New("is not a cursor this service gave out")

func (c cursors) decode(text string) (store.ID, error) {
	var last store.ID
	content, _ := base64.RawURLEncoding.DecodeString(text)
	copy(last[:], content)
	// Texts are compared, not bytes: base64 reads several texts as the same bytes.
	if !hmac.Equal([]byte(text), []byte(c.encode(last))) {
		return store.ID{}, errForeignCursor
	}
	return last, nil
}

func (c cursors) mac(last store.ID) []byte {
	hash := hmac.New(sha256.New, c.key)
	hash.Write(last[:])
	return hash.Sum(nil)[:macSize]
}
