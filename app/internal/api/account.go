package api

import (
	"errors"
	"fmt"
	"net/http"

	"slipway/app/internal/auth"
	"slipway/app/internal/store"
)

// me returns the user who asks. One whose account was deleted has an access token for some minutes more.
func (a *api) me(r *http.Request, who auth.Identity) (store.User, error) {
	user, err := a.Store.User(r.Context(), who.User)
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, accountDeleted()
	}
	if err != nil {
		return store.User{}, fmt.Errorf("find user: %w", err)
	}
	return user, nil
}

func accountDeleted() error {
	return refuse(http.StatusUnauthorized, "the account of this access token was deleted").as("access-token-invalid")
}

func (a *api) getMe(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
	user, err := a.me(r, who)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewUser(user))
}

// confirm returns the user who asks if this is their password, and otherwise names the field that has it. An access
// token alone is not enough for what cannot be taken back.
func (a *api) confirm(w http.ResponseWriter, r *http.Request, who auth.Identity, field, password string) (store.User, error) {
	user, err := a.me(r, who)
	if err != nil {
		return store.User{}, err
	}
	matches, err := a.checkPassword(w, r, user.Email, password, user.PasswordHash)
	if err != nil {
		return store.User{}, err
	}
	if !matches {
		return store.User{}, notThePassword(field)
	}
	return user, nil
}

func notThePassword(field string) error {
	return refuse(http.StatusUnprocessableEntity, "the password is not confirmed", fieldError{field, "is wrong"})
}

func decodePasswordChange(b *body) (current, next string, err error) {
	current = b.secret("currentPassword", 1, longestPassword)
	next = b.newPassword("newPassword")
	return current, next, b.end("the change of the password")
}

// changePassword ends the other sessions: whoever knew the old password may have one.
func (a *api) changePassword(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
	body, err := readBody(r, largestAccount)
	if err != nil {
		return err
	}
	current, next, err := decodePasswordChange(body)
	if err != nil {
		return err
	}
	user, err := a.confirm(w, r, who, "currentPassword", current)
	if err != nil {
		return err
	}
	if mistake := guessable(next, namesOf(user.Name, user.Email)...); mistake != "" {
		return refuse(http.StatusUnprocessableEntity, "the new password is refused", fieldError{"newPassword", mistake})
	}
	hash, err := a.passwords.Hash(r.Context(), next)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	err = a.Store.SetPassword(r.Context(), user, hash, who.Session)
	if errors.Is(err, store.ErrNotFound) { // changed meanwhile
		return notThePassword("currentPassword")
	}
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func decodeDeletion(b *body) (password string, err error) {
	password = b.secret("password", 1, longestPassword)
	return password, b.end("the deletion")
}

// deleteMe deletes what is the user's alone. What they reviewed is counted again without them.
func (a *api) deleteMe(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
	body, err := readBody(r, largestAccount)
	if err != nil {
		return err
	}
	password, err := decodeDeletion(body)
	if err != nil {
		return err
	}
	user, err := a.confirm(w, r, who, "password", password)
	if err != nil {
		return err
	}
	changes, err := a.Store.DeleteUser(r.Context(), user)
	if errors.Is(err, store.ErrNotFound) { // changed meanwhile
		return notThePassword("password")
	}
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	for _, change := range changes {
		a.announce(r.Context(), change)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
