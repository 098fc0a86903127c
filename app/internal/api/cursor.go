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
type cursors struct{ keys [][]byte } // the first signs

const macSize = 16

func newCursors(signingKeys []config.Secret) (c cursors) {
	for _, signingKey := range signingKeys {
		// A key for this one purpose: what signs cursors can never sign anything else.
		key, err := hkdf.Key(sha256.New, []byte(signingKey.Reveal()), nil, "slipway/v1/cursor", sha256.Size)
		if err != nil {
			panic(err) // only for a size beyond what SHA-256 can give
		}
		c.keys = append(c.keys, key)
	}
	return c
}

func (c cursors) encode(last store.ID) string { return encodeCursor(c.keys[0], last) }

func encodeCursor(key []byte, last store.ID) string {
	hash := hmac.New(sha256.New, key)
	hash.Write(last[:])
	return base64.RawURLEncoding.EncodeToString(append(last[:], hash.Sum(nil)[:macSize]...))
}

var errForeignCursor = errors.New("is not a cursor this service gave out")

func (c cursors) decode(text string) (store.ID, error) {
	var last store.ID
	content, _ := base64.RawURLEncoding.DecodeString(text)
	copy(last[:], content)
	for _, key := range c.keys {
		// Texts are compared, not bytes: base64 reads several texts as the same bytes.
		if hmac.Equal([]byte(text), []byte(encodeCursor(key, last))) {
			return last, nil
		}
	}
	return store.ID{}, errForeignCursor
}
