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

// cursor is where a page begins: at the items older than id, or at those newer than it.
type cursor struct {
	id    store.ID
	newer bool
}

// cursors encodes cursors as opaque, signed text, and decodes only what it has signed.
type cursors struct{ keys [][]byte } // the first signs

const macSize = 16

func newCursors(signingKeys []config.Secret) (c cursors) {
	for _, signingKey := range signingKeys {
		// This key has one purpose: a signature of a cursor is valid for nothing else.
		key, err := hkdf.Key(sha256.New, []byte(signingKey.Reveal()), nil, "slipway/v1/cursor", sha256.Size)
		if err != nil {
			panic(err) // only if size exceeds the limit of HKDF with SHA-256
		}
		c.keys = append(c.keys, key)
	}
	return c
}

func (c cursors) encode(from cursor) string { return encodeCursor(c.keys[0], from) }

// encodeCursor signs the direction without encoding it. A cursor to older items therefore has the same text as before
// there were two directions, and works with the previous version of this program.
func encodeCursor(key []byte, from cursor) string {
	hash := hmac.New(sha256.New, key)
	hash.Write(from.id[:])
	if from.newer {
		hash.Write([]byte("newer"))
	}
	return base64.RawURLEncoding.EncodeToString(append(from.id[:], hash.Sum(nil)[:macSize]...))
}

var errForeignCursor = errors.New("is not a cursor of this API")

func (c cursors) decode(text string) (cursor, error) {
	var id store.ID
	content, _ := base64.RawURLEncoding.DecodeString(text)
	copy(id[:], content)
	for _, key := range c.keys {
		for _, from := range []cursor{{id, false}, {id, true}} {
			// Compare the text, not the bytes: several base64 texts decode to the same bytes.
			if hmac.Equal([]byte(text), []byte(encodeCursor(key, from))) {
				return from, nil
			}
		}
	}
	return cursor{}, errForeignCursor
}
