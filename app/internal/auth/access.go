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
	// AccessLifetime is how long an access token is taken. It cannot be called back before.
	AccessLifetime = 15 * time.Minute

	issuer   = "slipway"
	audience = "slipway/v1"
	// clockSkew is how much the clocks of two nodes may differ.
	clockSkew = 5 * time.Second
)

// ErrToken says that an access token is not one of ours, or not valid now.
var ErrToken = errors.New("the access token is not valid")

// Identity is who an access token was given to.
type Identity struct{ User, Session store.ID }

// AccessTokens gives out and checks JSON web tokens, signed with HS256.
type AccessTokens struct {
	current string            // id of the key that signs
	keys    map[string][]byte // by id: keys that may have signed
	parser  *jwt.Parser
}

// NewAccessTokens signs with the first key and takes what any of them signed: while a key is replaced, the one before
// is given second until the last token it signed has expired.
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
		// Never what the token says: "none", or a public key taken for a secret, are the classic holes.
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(clockSkew),
		jwt.WithStrictDecoding(),
	)
	return tokens
}

// deriveKey gives a key for this one purpose, and an id for it that tells nothing about it.
func deriveKey(secret config.Secret) (id string, key []byte) {
	key = expand(secret, "slipway/v1/access-token", sha256.Size)
	return hex.EncodeToString(expand(secret, "slipway/v1/access-token/kid", 8)), key
}

func expand(secret config.Secret, purpose string, size int) []byte {
	key, err := hkdf.Key(sha256.New, []byte(secret.Reveal()), nil, purpose, size)
	if err != nil {
		panic(err) // only for a size beyond what SHA-256 can give
	}
	return key
}

type claims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
}

// Issue returns a token that is taken for AccessLifetime.
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

// Check returns who the token was given to, or ErrToken.
func (a *AccessTokens) Check(text string) (Identity, error) {
	var found claims
	if _, err := a.parser.ParseWithClaims(text, &found, a.key); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	user, err := store.ParseID(found.Subject)
	session, sessionErr := store.ParseID(found.Session)
	if err := errors.Join(err, sessionErr); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return Identity{user, session}, nil
}

func (a *AccessTokens) key(token *jwt.Token) (any, error) {
	id, _ := token.Header["kid"].(string)
	key, known := a.keys[id]
	if !known {
		return nil, errors.New("signed with a key that is not known")
	}
	return key, nil
}
