package auth

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"slipway/app/internal/config"
	"slipway/app/internal/store"
)

const (
	// AccessLifetime is how long an access token is valid. It cannot be revoked earlier.
	AccessLifetime = 15 * time.Minute

	issuer   = "slipway"
	audience = "slipway/v1"
	// clockSkew is the tolerated difference between the clocks of two nodes.
	clockSkew = 5 * time.Second
)

// ErrToken is returned for an access token that this service did not issue, or that is not valid now.
var ErrToken = errors.New("the access token is not valid")

// Identity is the user and the session that an access token was issued to.
type Identity struct{ User, Session store.ID }

// AccessTokens issues and verifies JSON web tokens, signed with HS256.
type AccessTokens struct {
	current string            // ID of the signing key
	keys    map[string][]byte // accepted keys, by ID
	parser  *jwt.Parser
}

// NewAccessTokens signs with the first key and accepts the signatures of all. While a key is being replaced, the previous
// key is the second one until the last token that it signed has expired.
func NewAccessTokens(keys ...config.Secret) *AccessTokens {
	tokens := &AccessTokens{keys: map[string][]byte{}}
	for _, key := range keys {
		id, derived := deriveKey(key)
		tokens.keys[id] = derived
		if tokens.current == "" {
			tokens.current = id
		}
	}
	tokens.parser = jwt.NewParser(
		// Never trust the algorithm in the token: "none", or a public key used as a secret, are the classic attacks.
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(clockSkew),
		jwt.WithStrictDecoding(),
	)
	return tokens
}

// deriveKey returns a key for access tokens only, and an ID of it that reveals nothing about it.
func deriveKey(secret config.Secret) (id string, key []byte) {
	key = expand(secret, "slipway/v1/access-token", sha256.Size)
	return hex.EncodeToString(expand(secret, "slipway/v1/access-token/kid", 8)), key
}

// expand derives a key of this size for one purpose.
func expand(secret config.Secret, purpose string, size int) []byte {
	key, err := hkdf.Key(sha256.New, []byte(secret.Reveal()), nil, purpose, size)
	if err != nil {
		panic(err) // only if size exceeds the limit of HKDF with SHA-256
	}
	return key
}

type claims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
}

// Issue returns a token that is valid for AccessLifetime.
func (a *AccessTokens) Issue(identity Identity) (string, error) {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: identity.User.String(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(AccessLifetime)),
		},
		Session: identity.Session.String(),
	})
	token.Header["kid"] = a.current
	return token.SignedString(a.keys[a.current])
}

// Check returns the identity that the token was issued to, or ErrToken.
func (a *AccessTokens) Check(text string) (Identity, error) {
	var parsed claims
	if _, err := a.parser.ParseWithClaims(text, &parsed, a.key); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	user, err := store.ParseID(parsed.Subject)
	session, sessionErr := store.ParseID(parsed.Session)
	if err := errors.Join(err, sessionErr); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return Identity{user, session}, nil
}

// key returns the key that the header of the token names.
func (a *AccessTokens) key(token *jwt.Token) (any, error) {
	id, _ := token.Header["kid"].(string)
	key, known := a.keys[id]
	if !known {
		return nil, errors.New("signed with an unknown key")
	}
	return key, nil
}
