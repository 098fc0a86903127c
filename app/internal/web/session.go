package web

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"slipway/app/internal/auth"
)

// Browsers accept a __Host- cookie only with Secure, without Domain and for all paths, so that no other host can set it.
const (
	accessCookie  = "__Host-access"
	refreshCookie = "__Host-refresh"
	// accessMargin is how long before its expiry the browser deletes an access token.
	accessMargin = 15 * time.Second
)

// visitor identifies the sender of a request: address and session.
type visitor struct {
	address         netip.Addr
	access, refresh string // tokens, or ""
	back            string // the page to return to after a login
}

func (s *site) visitor(r *http.Request) visitor {
	v := visitor{
		address: s.TrustedProxies.Client(r),
		access:  cookieValue(r, accessCookie),
		refresh: cookieValue(r, refreshCookie),
		back:    "/",
	}
	if shop := r.PathValue("id"); shop != "" {
		v.back = shopPath(shop)
	}
	switch path := r.URL.Path; {
	case path == "/login" || path == "/signup":
		v.back = localPath(r.URL.Query().Get("back"))
	case strings.HasPrefix(path, "/account"):
		v.back = "/account"
	case r.Method == http.MethodGet:
		v.back = r.URL.RequestURI()
	}
	return v
}

func cookieValue(r *http.Request, name string) string {
	cookie, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// SignedIn reports whether the browser has tokens. The session may have ended nevertheless.
func (v visitor) SignedIn() bool { return v.access != "" || v.refresh != "" }

// tokens is the response to a login or a refresh.
type tokens struct {
	AccessToken, RefreshToken string
	ExpiresIn                 int // seconds
}

// setTokens stores the tokens in cookies. It replaces cookies that this response has set before.
func setTokens(w http.ResponseWriter, t tokens) {
	w.Header().Del("Set-Cookie")
	setCookie(w, accessCookie, t.AccessToken, time.Duration(t.ExpiresIn)*time.Second-accessMargin)
	setCookie(w, refreshCookie, t.RefreshToken, auth.RefreshLifetime)
}

// deleteTokens deletes the cookies with tokens.
func deleteTokens(w http.ResponseWriter) {
	w.Header().Del("Set-Cookie")
	setCookie(w, accessCookie, "", -1)
	setCookie(w, refreshCookie, "", -1)
}

func setCookie(w http.ResponseWriter, name, value string, lifetime time.Duration) {
	maxAge := int(lifetime.Seconds())
	if maxAge <= 0 {
		maxAge = -1 // delete at once; 0 would mean until the browser closes
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
}

// errSessionEnded is returned if the visitor has no session, or it has ended.
var errSessionEnded = errors.New("the session has ended")

// signedIn wraps pages that need a session. Visitors without one are redirected to the login.
func (s *site) signedIn(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, v visitor) error {
		if !v.SignedIn() {
			return errSessionEnded
		}
		return h(w, r, v)
	}
}

// callAsUser calls the API with the access token of the visitor, and again with a new one if that has expired: a 401
// means that the first call had no effect. It returns errSessionEnded if the session has ended.
func (s *site) callAsUser(w http.ResponseWriter, r *http.Request, v *visitor, request call) error {
	if v.access != "" {
		request.token = v.access
		if err := s.api.do(r.Context(), *v, request); !hasStatus(err, http.StatusUnauthorized) {
			return err
		}
	}
	if err := s.renew(w, r, v); err != nil {
		return err
	}
	request.token = v.access
	return s.api.do(r.Context(), *v, request)
}

// renewForReading renews an expired access token, so that a page can show personal content. If that fails, the page is
// shown without it.
func (s *site) renewForReading(w http.ResponseWriter, r *http.Request, v *visitor) {
	if v.access != "" || v.refresh == "" {
		return
	}
	err := s.renew(w, r, v)
	switch {
	case errors.Is(err, errSessionEnded):
		deleteTokens(w)
		v.access, v.refresh = "", ""
	case err != nil:
		s.Logger.WarnContext(r.Context(), "the page is shown without personal content", "error", err)
	}
}

// renew gets new tokens for the visitor and their browser, or returns errSessionEnded.
//
// Concurrent requests with the same token share one renewal. If a token is used again within seconds, here or at another
// replica, the API returns the same new token. The renewal continues when the browser disconnects, because the browser
// may come back later than that.
func (s *site) renew(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if v.refresh == "" {
		return errSessionEnded
	}
	renewed, err, _ := s.renewals.Do(v.refresh, func() (any, error) {
		var renewed tokens
		err := s.api.do(context.WithoutCancel(r.Context()), *v, call{
			method: http.MethodPost, path: "/v1/sessions/refresh", response: &renewed,
			body: map[string]string{"refreshToken": v.refresh},
		})
		return renewed, err
	})
	if hasStatus(err, http.StatusUnauthorized) || hasStatus(err, http.StatusUnprocessableEntity) {
		return errSessionEnded
	}
	if err != nil {
		return err
	}
	issued := renewed.(tokens)
	setTokens(w, issued)
	v.access, v.refresh = issued.AccessToken, issued.RefreshToken
	return nil
}

// loginPath returns the path of the login page that leads back to a page of this site. why is a key of loginMessages, or
// "".
func loginPath(back, why string) string {
	query := url.Values{"back": {back}}
	if why != "" {
		query.Set("why", why)
	}
	return "/login?" + query.Encode()
}
