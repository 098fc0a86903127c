package api

import (
	"errors"
	"fmt"
	"net/http"

	"slipway/app/internal/auth"
	"slipway/app/internal/store"
)

// currentUser returns the user of the request, or a 401 if the account was deleted: its access tokens are valid for some
// minutes more.
func (a *api) currentUser(r *http.Request, identity auth.Identity) (store.User, error) {
	user, err := a.Store.User(r.Context(), identity.User)
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

func (a *api) getMe(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	user, err := a.currentUser(r, identity)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewUser(user))
}

// confirmPassword returns the user of the request if this is their password, and otherwise an error about this field. For
// actions that cannot be undone, an access token is not enough.
func (a *api) confirmPassword(w http.ResponseWriter, r *http.Request, identity auth.Identity, field, password string) (store.User, error) {
	user, err := a.currentUser(r, identity)
	if err != nil {
		return store.User{}, err
	}
	matches, err := a.checkPassword(w, r, user.Email, password, user.PasswordHash)
	if err != nil {
		return store.User{}, err
	}
	if !matches {
		return store.User{}, passwordMismatch(field)
	}
	return user, nil
}

func passwordMismatch(field string) error {
	return refuse(http.StatusUnprocessableEntity, "the password is not confirmed", fieldError{field, "is wrong"})
}

func decodePasswordChange(b *body) (current, next string, err error) {
	current = b.secret("currentPassword", 1, maxPassword)
	next = b.newPassword("newPassword")
	return current, next, b.end("the change of the password")
}

// changePassword also ends the other sessions of the user, because they may belong to somebody who knew the old password.
func (a *api) changePassword(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	body, err := readBody(r, maxAccountBody)
	if err != nil {
		return err
	}
	current, next, err := decodePasswordChange(body)
	if err != nil {
		return err
	}
	user, err := a.confirmPassword(w, r, identity, "currentPassword", current)
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
	err = a.Store.SetPassword(r.Context(), user, hash, identity.Session)
	if errors.Is(err, store.ErrNotFound) { // the password was changed in between
		return passwordMismatch("currentPassword")
	}
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func decodeDeletion(b *body) (password string, err error) {
	password = b.secret("password", 1, maxPassword)
	return password, b.end("the deletion")
}

// deleteMe deletes the user, and announces recounts of what they reviewed and liked.
func (a *api) deleteMe(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	body, err := readBody(r, maxAccountBody)
	if err != nil {
		return err
	}
	password, err := decodeDeletion(body)
	if err != nil {
		return err
	}
	user, err := a.confirmPassword(w, r, identity, "password", password)
	if err != nil {
		return err
	}
	changes, err := a.Store.DeleteUser(r.Context(), user)
	if errors.Is(err, store.ErrNotFound) { // the password was changed in between
		return passwordMismatch("password")
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
