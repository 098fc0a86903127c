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

// cursor is the place a page begins at: it has the entries that are older than this one, or newer.
type cursor struct {
	id    store.ID
	newer bool
}

// cursors turns the place a page begins at into text that means nothing to clients, and takes back only its own.
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

func (c cursors) encode(from cursor) string { return encodeCursor(c.keys[0], from) }

// encodeCursor signs the direction without writing it: a cursor to older entries is the text it was before there were
// others, and so means the same to the previous version of this program.
func encodeCursor(key []byte, from cursor) string {
	hash := hmac.New(sha256.New, key)
	hash.Write(from.id[:])
	if from.newer {
		hash.Write([]byte("newer"))
	}
	return base64.RawURLEncoding.EncodeToString(append(from.id[:], hash.Sum(nil)[:macSize]...))
}

var errForeignCursor = errors.New("is not a cursor this service gave out")

func (c cursors) decode(text string) (cursor, error) {
	var id store.ID
	content, _ := base64.RawURLEncoding.DecodeString(text)
	copy(id[:], content)
	for _, key := range c.keys {
		for _, from := range []cursor{{id, false}, {id, true}} {
			// Texts are compared, not bytes: base64 reads several texts as the same bytes.
			if hmac.Equal([]byte(text), []byte(encodeCursor(key, from))) {
				return from, nil
			}
		}
	}
	return cursor{}, errForeignCursor
}
