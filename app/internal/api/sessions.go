package api

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"slipway/app/internal/auth"
	"slipway/app/internal/store"
)

func decodeLogin(b *body) (email, password string, err error) {
	email = b.email("email")
	password = b.secret("password", 1, maxPassword)
	return email, password, b.end("the login")
}

func wrongLogin() error {
	return refuse(http.StatusUnauthorized, "the e-mail address or the password is wrong").as("login-wrong")
}

func (a *api) logIn(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(r, maxAccountBody)
	if err != nil {
		return err
	}
	email, password, err := decodeLogin(body)
	if err != nil {
		return err
	}
	user, err := a.Store.UserByEmail(r.Context(), email)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("find user: %w", err)
	}
	// Without a user the hash is empty. It never matches, and takes as long to check.
	matches, err := a.checkPassword(w, r, email, password, user.PasswordHash)
	if err != nil {
		return err
	}
	if !matches {
		return wrongLogin()
	}
	secret := auth.NewRefreshSecret()
	session, err := a.Store.AddSession(r.Context(), user, secret.Hash(), newExpiry())
	if errors.Is(err, store.ErrNotFound) { // the password was changed, or the account deleted, in between
		return wrongLogin()
	}
	if err != nil {
		return fmt.Errorf("add session: %w", err)
	}
	return a.writeTokens(w, http.StatusCreated, session, secret)
}

func newExpiry() time.Time { return store.Now().Add(auth.RefreshLifetime) }

func decodeRefresh(b *body) (session store.ID, secret auth.RefreshSecret, err error) {
	const field = "refreshToken"
	text := b.name(field, 200)
	session, secret, parseErr := auth.ParseRefreshToken(text)
	if len(b.errors) == 0 && parseErr != nil {
		b.refuse(field, parseErr.Error())
	}
	return session, secret, b.end("the refresh")
}

// refresh accepts each refresh token once, and within store.RenewalGrace again with the same response, because responses
// get lost and two tabs may send the same token. Later reuse may mean that the token was stolen, so it ends the session
// for everybody.
func (a *api) refresh(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(r, maxAccountBody)
	if err != nil {
		return err
	}
	id, current, err := decodeRefresh(body)
	if err != nil {
		return err
	}
	session, err := a.Store.RenewSession(r.Context(), id, current.Hash(), a.refreshKeys.Next(id, current).Hash(), newExpiry())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("renew session: %w", err)
	}
	next, ok := a.refreshKeys.Successor(id, current, session.Hash)
	if err != nil || !ok {
		return refuse(http.StatusUnauthorized, "the session has ended, or this refresh token was used before: log in again").as("session-ended")
	}
	return a.writeTokens(w, http.StatusOK, session, next)
}

func (a *api) writeTokens(w http.ResponseWriter, status int, session store.Session, secret auth.RefreshSecret) error {
	access, err := a.access.Issue(auth.Identity{User: session.User, Session: session.ID})
	if err != nil {
		return fmt.Errorf("sign access token: %w", err)
	}
	return writeJSON(w, status, struct {
		AccessToken  string `json:"accessToken"`
		TokenType    string `json:"tokenType"`
		ExpiresIn    int    `json:"expiresIn"` // seconds
		RefreshToken string `json:"refreshToken"`
	}{access, "Bearer", int(auth.AccessLifetime.Seconds()), auth.RefreshToken(session.ID, secret)})
}

// logOut ends the session, so that it cannot be refreshed. The access token stays valid until it expires.
func (a *api) logOut(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	err := a.Store.EndSession(r.Context(), identity.User, identity.Session)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("end session: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type sessionView struct {
	ID         store.ID  `json:"id"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
	Current    bool      `json:"current"`
}

// listSessions has no pages, because a user has at most store.SessionsPerUser sessions.
func (a *api) listSessions(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	sessions, err := a.Store.Sessions(r.Context(), identity.User)
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	return writeJSON(w, http.StatusOK, struct {
		Items []sessionView `json:"items"`
	}{views(sessions, func(s store.Session) sessionView {
		return sessionView{s.ID, s.ID.Time(), s.LastUsed(), s.ExpiresAt, s.ID == identity.Session}
	})})
}

func (a *api) endSession(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := a.Store.EndSession(r.Context(), identity.User, id); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) endOtherSessions(w http.ResponseWriter, r *http.Request, identity auth.Identity) error {
	if err := a.Store.EndOtherSessions(r.Context(), identity.User, identity.Session); err != nil {
		return fmt.Errorf("end other sessions: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
