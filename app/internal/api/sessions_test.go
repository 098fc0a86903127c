package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"slipway/app/internal/store"
)

// login logs Ada in again.
func (s *service) login() tokens {
	s.t.Helper()
	return s.tokensOf(s.do("POST", "/v1/sessions", adasLogin), http.StatusCreated)
}

func (t tokens) header() []string { return []string{"Authorization", "Bearer " + t.AccessToken} }

// sessions returns the IDs of the sessions of a user, and the ID of the current one.
func (s *service) sessions(of tokens) (ids []string, current string) {
	s.t.Helper()
	var list struct {
		Items []struct {
			ID      string
			Current bool
		}
	}
	response := s.do("GET", "/v1/sessions", "", of.header()...)
	if err := json.Unmarshal(response.Body.Bytes(), &list); response.Code != http.StatusOK || err != nil {
		s.t.Fatalf("%d %s", response.Code, response.Body)
	}
	for _, item := range list.Items {
		ids = append(ids, item.ID)
		if item.Current {
			current = item.ID
		}
	}
	return ids, current
}

// want sends a request and checks the status of the response.
func (s *service) want(status int, method, target, body string, headers ...string) {
	s.t.Helper()
	if response := s.do(method, target, body, headers...); response.Code != status {
		s.t.Errorf("%s %s %s: %d %s, want %d", method, target, body, response.Code, response.Body, status)
	}
}

func TestAUserListsTheirSessionsAndEndsOneOrAllOthers(t *testing.T) {
	s := newService(t, &store.Memory{})
	first := s.signUpAndIn()
	second, third := s.login(), s.login()
	ids, current := s.sessions(first)
	if len(ids) != 3 || current != session(s, first) {
		t.Fatalf("sessions %v, current %s, want %s", ids, current, session(s, first))
	}
	s.want(http.StatusNoContent, "DELETE", "/v1/sessions/"+session(s, second), "", first.header()...)
	s.want(http.StatusNotFound, "DELETE", "/v1/sessions/"+session(s, second), "", first.header()...)
	s.want(http.StatusNotFound, "DELETE", "/v1/sessions/"+session(s, first), "", s.as(2)...)
	s.want(http.StatusUnauthorized, "POST", "/v1/sessions/refresh", `{"refreshToken": "`+second.RefreshToken+`"}`)
	s.tokensOf(s.refresh(third.RefreshToken), http.StatusOK)
	s.want(http.StatusNoContent, "DELETE", "/v1/sessions/others", "", first.header()...)
	if ids, _ := s.sessions(first); len(ids) != 1 || ids[0] != current {
		t.Errorf("sessions %v, want only %s", ids, current)
	}
	s.tokensOf(s.refresh(first.RefreshToken), http.StatusOK)
}

func TestAUserHasALimitedNumberOfSessions(t *testing.T) {
	s := newService(t, &store.Memory{})
	first := s.signUpAndIn()
	for range store.SessionsPerUser {
		s.login()
	}
	if ids, _ := s.sessions(first); len(ids) != store.SessionsPerUser {
		t.Errorf("%d sessions", len(ids))
	}
	s.want(http.StatusUnauthorized, "POST", "/v1/sessions/refresh", `{"refreshToken": "`+first.RefreshToken+`"}`)
}
