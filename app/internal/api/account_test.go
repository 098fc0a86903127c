package api_test

import (
	"net/http"
	"slices"
	"testing"

	"slipway/app/internal/store"
)

const (
	passwordChange = `{"currentPassword": "canary horse battery", "newPassword": "another horse battery"}`
	adasNewLogin   = `{"email": "ada@example.org", "password": "another horse battery"}`
)

func TestAChangedPasswordReplacesTheOldOneAndEndsTheOtherSessions(t *testing.T) {
	s := newService(t, &store.Memory{})
	thief, ada := s.signUpAndIn(), s.login()
	s.want(http.StatusNoContent, "PUT", "/v1/users/me/password", passwordChange, ada.header()...)
	if response := s.refresh(thief.RefreshToken); response.Code != http.StatusUnauthorized {
		t.Errorf("the other session was not ended: %d", response.Code)
	}
	s.tokensOf(s.refresh(ada.RefreshToken), http.StatusOK)
	s.want(http.StatusUnauthorized, "POST", "/v1/sessions", adasLogin)
	s.want(http.StatusCreated, "POST", "/v1/sessions", adasNewLogin)
}

func TestAPasswordChangeNeedsTheCurrentPassword(t *testing.T) {
	s := newService(t, &store.Memory{})
	ada := s.signUpAndIn()
	for body, want := range map[string][]string{
		`{"currentPassword": "wrong", "newPassword": "another horse battery"}`:          {"currentPassword"},
		`{"currentPassword": "canary horse battery", "newPassword": "short"}`:           {"newPassword"},
		`{"newPassword": "another horse battery"}`:                                      {"currentPassword"},
		`{"currentPassword": "canary horse battery", "newPassword": 1, "email": "a@b"}`: {"email", "newPassword"},
	} {
		response := s.do("PUT", "/v1/users/me/password", body, ada.header()...)
		if got := s.problem(response).fields(); response.Code != http.StatusUnprocessableEntity || !slices.Equal(got, want) {
			t.Errorf("%s: %d naming %v, want %v", body, response.Code, got, want)
		}
	}
	s.want(http.StatusCreated, "POST", "/v1/sessions", adasLogin)
}

func TestDeletingAnAccountDeletesReviewsAndLikesButNoShop(t *testing.T) {
	s := newService(t, &store.Memory{})
	ada := s.signUpAndIn()
	shop := s.do("POST", "/v1/shops", `{"name": "x"}`, ada.header()...).Header().Get("Location")
	s.want(http.StatusCreated, "POST", shop+"/reviews", `{"stars": 1}`, ada.header()...)
	other := s.review(shop, 2, 5)
	s.want(http.StatusNoContent, "PUT", "/v1/reviews/"+other.ID+"/like", "", ada.header()...)
	s.wantRating(shop, `{"average":3,"reviews":2,"likes":1}`)

	wrong := s.do("POST", "/v1/users/me/deletion", `{"password": "wrong"}`, ada.header()...)
	if got := s.problem(wrong).fields(); wrong.Code != http.StatusUnprocessableEntity || !slices.Equal(got, []string{"password"}) {
		t.Errorf("%d naming %v", wrong.Code, got)
	}
	s.want(http.StatusNoContent, "POST", "/v1/users/me/deletion", `{"password": "canary horse battery"}`, ada.header()...)
	s.wantRating(shop, `{"average":5,"reviews":1,"likes":0}`)
	s.want(http.StatusUnauthorized, "POST", "/v1/sessions", adasLogin)
	s.want(http.StatusUnauthorized, "POST", "/v1/sessions/refresh", `{"refreshToken": "`+ada.RefreshToken+`"}`)
	s.want(http.StatusCreated, "POST", "/v1/users", adasSignUp)
}

func TestTheTokenOfADeletedAccountCannotWrite(t *testing.T) {
	s := newService(t, &store.Memory{})
	ada := s.signUpAndIn()
	shop := s.add("x")
	review := s.review(shop, 1, 5)
	s.want(http.StatusNoContent, "POST", "/v1/users/me/deletion", `{"password": "canary horse battery"}`, ada.header()...)
	for _, request := range []struct {
		method, target, body string
		status               int
	}{
		{"GET", "/v1/users/me", "", 401},
		{"PUT", "/v1/users/me/password", passwordChange, 401},
		{"POST", "/v1/users/me/deletion", `{"password": "canary horse battery"}`, 401},
		{"POST", "/v1/shops", `{"name": "y"}`, 401},
		{"POST", shop + "/reviews", `{"stars": 1}`, 404},
		{"PUT", "/v1/reviews/" + review.ID + "/like", "", 404},
	} {
		s.want(request.status, request.method, request.target, request.body, ada.header()...)
	}
	s.wantRating(shop, `{"average":5,"reviews":1,"likes":0}`)
	if got := s.list("/v1/shops").Items; len(got) != 1 {
		t.Errorf("shops %v", got)
	}
}
