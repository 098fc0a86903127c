package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"slipway/app/internal/store"
)

// RefreshLifetime is how long a session lasts that is not refreshed.
const RefreshLifetime = 30 * 24 * time.Hour

// RefreshSecret is the part of a refresh token nobody can guess.
type RefreshSecret [32]byte

// NewRefreshSecret is random.
func NewRefreshSecret() (secret RefreshSecret) {
	rand.Read(secret[:])
	return secret
}

// Hash needs no salt and no slowness: 256 random bits are not found by trying.
func (s RefreshSecret) Hash() store.SecretHash { return sha256.Sum256(s[:]) }

var errRefreshToken = errors.New("is not a refresh token")

// RefreshToken is what a client gets: it names the session and proves that it is the client's.
func RefreshToken(session store.ID, secret RefreshSecret) string {
	return base64.RawURLEncoding.EncodeToString(append(session[:], secret[:]...))
}

// ParseRefreshToken reads exactly what RefreshToken writes.
func ParseRefreshToken(text string) (session store.ID, secret RefreshSecret, err error) {
	content, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(content) != len(session)+len(secret) || RefreshToken(store.ID(content[:16]), RefreshSecret(content[16:])) != text {
		return session, secret, errRefreshToken
	}
	return store.ID(content[:16]), RefreshSecret(content[16:]), nil
}
