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

// A browser takes a __Host- cookie only with Secure, without Domain and for all paths: no other host can set it.
const (
	accessCookie  = "__Host-access"
	refreshCookie = "__Host-refresh"
	// accessMargin is how much earlier than the API the browser takes an access token for expired.
	accessMargin = 15 * time.Second
)

// visitor is who asks: from where, and with which session.
type visitor struct {
	address         netip.Addr
	access, refresh string // tokens, or ""
	back            string // where to go on after a login
}

func (s *site) visitor(r *http.Request) visitor {
	who := visitor{
		address: s.TrustedProxies.Client(r),
		access:  cookieValue(r, accessCookie),
		refresh: cookieValue(r, refreshCookie),
		back:    "/",
	}
	if shop := r.PathValue("id"); shop != "" {
		who.back = shopPath(shop)
	}
	switch path := r.URL.Path; {
	case path == "/login" || path == "/signup":
		who.back = local(r.URL.Query().Get("back"))
	case strings.HasPrefix(path, "/account"):
		who.back = "/account"
	case r.Method == http.MethodGet:
		who.back = r.URL.RequestURI()
	}
	return who
}

func cookieValue(r *http.Request, name string) string {
	cookie, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// SignedIn is true for who has a session, as far as their browser knows.
func (v visitor) SignedIn() bool { return v.access != "" || v.refresh != "" }

// tokens is what a login or a refresh gives.
type tokens struct {
	AccessToken, RefreshToken string
	ExpiresIn                 int // seconds
}

// remember gives the browser the tokens. They replace what was said about cookies before in this answer.
func remember(w http.ResponseWriter, t tokens) {
	w.Header().Del("Set-Cookie")
	setCookie(w, accessCookie, t.AccessToken, time.Duration(t.ExpiresIn)*time.Second-accessMargin)
	setCookie(w, refreshCookie, t.RefreshToken, auth.RefreshLifetime)
}

func forget(w http.ResponseWriter) {
	w.Header().Del("Set-Cookie")
	setCookie(w, accessCookie, "", -1)
	setCookie(w, refreshCookie, "", -1)
}

func setCookie(w http.ResponseWriter, name, value string, lifetime time.Duration) {
	maxAge := int(lifetime.Seconds())
	if maxAge <= 0 {
		maxAge = -1 // at once; 0 would be until the browser closes
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
}

// errEnded says that the visitor has no session, or not any more.
var errEnded = errors.New("the session has ended")

// signedIn is for pages of somebody. Who is nobody is sent to the login.
func (s *site) signedIn(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, who visitor) error {
		if !who.SignedIn() {
			return errEnded
		}
		return h(w, r, who)
	}
}

// asUser asks the API with an access token, and with a new one if that is over: a 401 says that nothing was done, so
// that asking again is no repetition. Returns errEnded if the session is over as well.
func (s *site) asUser(w http.ResponseWriter, r *http.Request, who *visitor, wanted call) error {
	if who.access != "" {
		wanted.token = who.access
		if err := s.api.do(r.Context(), *who, wanted); !is(err, http.StatusUnauthorized) {
			return err
		}
	}
	if err := s.renew(w, r, who); err != nil {
		return err
	}
	wanted.token = who.access
	return s.api.do(r.Context(), *who, wanted)
}

// renewForReading renews an access token that the browser has dropped, so that a page shows what is the visitor's own.
// Without one the page is what everybody sees, and can still be read.
func (s *site) renewForReading(w http.ResponseWriter, r *http.Request, who *visitor) {
	if who.access != "" || who.refresh == "" {
		return
	}
	err := s.renew(w, r, who)
	switch {
	case errors.Is(err, errEnded):
		forget(w)
		who.access, who.refresh = "", ""
	case err != nil:
		s.Logger.WarnContext(r.Context(), "the page is shown without what is the visitor's own", "error", err)
	}
}

// renew gives the visitor and their browser new tokens, or returns errEnded.
//
// Requests that come with the same token at the same time share one renewal. The API answers tokens that come again
// within seconds, here or at another replica, with the same new token. The renewal continues when the browser has gone,
// because the browser may come back later than that.
func (s *site) renew(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if who.refresh == "" {
		return errEnded
	}
	renewed, err, _ := s.renewals.Do(who.refresh, func() (any, error) {
		var renewed tokens
		err := s.api.do(context.WithoutCancel(r.Context()), *who, call{
			method: http.MethodPost, path: "/v1/sessions/refresh", answer: &renewed,
			body: map[string]string{"refreshToken": who.refresh},
		})
		return renewed, err
	})
	if is(err, http.StatusUnauthorized) || is(err, http.StatusUnprocessableEntity) {
		return errEnded
	}
	if err != nil {
		return err
	}
	given := renewed.(tokens)
	remember(w, given)
	who.access, who.refresh = given.AccessToken, given.RefreshToken
	return nil
}

// toLogin is the address of the login that leads back to a page of this site.
func toLogin(back string, why string) string {
	query := url.Values{"back": {back}}
	if why != "" {
		query.Set("why", why)
	}
	return "/login?" + query.Encode()
}
