package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"slipway/app/internal/auth"
	"slipway/app/internal/store"
)

const (
	maxName     = 100
	minPassword = 10
	maxPassword = 128
)

type userView struct {
	ID        store.ID  `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
}

func viewUser(user store.User) userView {
	return userView{user.ID, user.CreatedAt, user.Name, user.Email}
}

type signUp struct{ name, email, password string }

func decodeSignUp(b *body) (signUp, error) {
	wanted := signUp{name: b.name("name", maxName), email: b.email("email")}
	wanted.password = b.newPassword("password", namesOf(wanted.name, wanted.email)...)
	return wanted, b.end("the user")
}

// namesOf returns names of a user that a password must not be.
func namesOf(name, email string) []string {
	mailbox, _, _ := strings.Cut(email, "@")
	return []string{name, email, mailbox}
}

func (a *api) addUser(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(r, maxAccountBody)
	if err != nil {
		return err
	}
	wanted, err := decodeSignUp(body)
	if err != nil {
		return err
	}
	hash, err := a.passwords.Hash(r.Context(), wanted.password)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	user, err := a.Store.AddUser(r.Context(), store.UserDraft{Email: wanted.email, Name: wanted.name, PasswordHash: hash})
	if errors.Is(err, store.ErrTaken) {
		return refuse(http.StatusConflict, "there is a user with this e-mail address", fieldError{"email", "is taken"}).as("email-taken")
	}
	if err != nil {
		return fmt.Errorf("add user: %w", err)
	}
	return writeJSON(w, http.StatusCreated, viewUser(user))
}

// signedIn passes the identity of the request to the handler, or responds 401.
func (a *api) signedIn(h func(w http.ResponseWriter, r *http.Request, identity auth.Identity) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		token, ok := bearer(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			return refuse(http.StatusUnauthorized, "this needs an access token: POST /v1/sessions gives one")
		}
		identity, err := a.access.Check(token)
		if err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			return refuse(http.StatusUnauthorized, "the access token is invalid or has expired: POST /v1/sessions/refresh gives a new one").as("access-token-invalid")
		}
		return h(w, r, identity)
	}
}

// viewer returns the user of a valid access token, or the zero ID. Reading needs no token.
func (a *api) viewer(r *http.Request) store.ID {
	token, ok := bearer(r)
	if !ok {
		return store.ID{}
	}
	identity, err := a.access.Check(token)
	if err != nil {
		return store.ID{}
	}
	return identity.User
}

// bearer returns the token of the header Authorization.
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token, strings.EqualFold(scheme, "Bearer")
}
