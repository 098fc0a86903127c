package web

import (
	"net/http"
	"net/url"
	"time"
)

type user struct {
	Name, Email string
	CreatedAt   time.Time
}

type session struct {
	ID                               string
	CreatedAt, LastUsedAt, ExpiresAt time.Time
	Current                          bool
}

type accountContent struct {
	User               user
	Sessions           []session
	Password, Deletion form
}

func passwordForm() form {
	return form{Action: "/account/password", Button: "Change the password", Fields: []field{
		{Name: "currentPassword", Label: "Current password", Type: "password", Longest: 128, Required: true, Autocomplete: "current-password"},
		{Name: "newPassword", Label: "New password", Hint: "At least 10 characters.", Type: "password", Longest: 128, Required: true, Autocomplete: "new-password"},
	}}
}

func deletionForm() form {
	return form{Action: "/account/delete", Button: "Delete the account", Fields: []field{
		{Name: "password", Label: "Password", Type: "password", Longest: 128, Required: true, Autocomplete: "current-password"},
	}}
}

// accountReasons are what an account page may be asked to say.
var accountReasons = map[string]string{
	"password": "Your password is changed, and all your other sessions have ended.",
	"session":  "The session has ended.",
	"sessions": "All your other sessions have ended.",
}

func (s *site) showAccount(w http.ResponseWriter, r *http.Request, who visitor) error {
	return s.showAccountWith(w, r, who, passwordForm(), deletionForm(), 0)
}

// showAccountWith shows the account with forms that may have been filled in already.
func (s *site) showAccountWith(w http.ResponseWriter, r *http.Request, who visitor, password, deletion form, status int) error {
	content := accountContent{Password: password, Deletion: deletion}
	if err := s.asUser(w, r, &who, call{method: http.MethodGet, path: "/v1/users/me", answer: &content.User}); err != nil {
		return err
	}
	var sessions list[session]
	if err := s.asUser(w, r, &who, call{method: http.MethodGet, path: "/v1/sessions", answer: &sessions}); err != nil {
		return err
	}
	content.Sessions = sessions.Items
	said := accountReasons[r.URL.Query().Get("why")]
	return s.show(w, r, who, page{Name: "account", Title: "Your account", Said: said, Status: status, Content: content, Form: form{Status: status}})
}

func (s *site) changePassword(w http.ResponseWriter, r *http.Request, who visitor) error {
	f := passwordForm()
	if err := readForm(r, &f); err != nil {
		return err
	}
	err := s.asUser(w, r, &who, call{method: http.MethodPut, path: "/v1/users/me/password", body: f.body()})
	if f.refuse(err) {
		return s.showAccountWith(w, r, who, f, deletionForm(), f.Status)
	}
	if err != nil {
		return err
	}
	return redirect(w, r, "/account?why=password")
}

func (s *site) endSession(w http.ResponseWriter, r *http.Request, who visitor) error {
	path := "/v1/sessions/" + url.PathEscape(r.PathValue("session"))
	err := s.asUser(w, r, &who, call{method: http.MethodDelete, path: path})
	if err != nil && !is(err, http.StatusNotFound) { // it has ended by itself
		return err
	}
	return redirect(w, r, "/account?why=session")
}

func (s *site) endOtherSessions(w http.ResponseWriter, r *http.Request, who visitor) error {
	if err := s.asUser(w, r, &who, call{method: http.MethodDelete, path: "/v1/sessions/others"}); err != nil {
		return err
	}
	return redirect(w, r, "/account?why=sessions")
}

func (s *site) deleteAccount(w http.ResponseWriter, r *http.Request, who visitor) error {
	f := deletionForm()
	if err := readForm(r, &f); err != nil {
		return err
	}
	err := s.asUser(w, r, &who, call{method: http.MethodPost, path: "/v1/users/me/deletion", body: f.body()})
	if f.refuse(err) {
		return s.showAccountWith(w, r, who, passwordForm(), f, f.Status)
	}
	if err != nil {
		return err
	}
	forget(w)
	return redirect(w, r, toLogin("/", "deleted"))
}
