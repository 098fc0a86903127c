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
		{Name: "currentPassword", Label: "Current password", Type: "password", MaxLength: 128, Required: true, Autocomplete: "current-password"},
		{Name: "newPassword", Label: "New password", Hint: "At least 10 characters.", Type: "password", MaxLength: 128, Required: true, Autocomplete: "new-password"},
	}}
}

func deletionForm() form {
	return form{Action: "/account/delete", Button: "Delete the account", Fields: []field{
		{Name: "password", Label: "Password", Type: "password", MaxLength: 128, Required: true, Autocomplete: "current-password"},
	}}
}

// accountMessages are the messages of the account page, by the parameter `why`.
var accountMessages = map[string]string{
	"password": "Your password is changed, and all your other sessions have ended.",
	"session":  "The session has ended.",
	"sessions": "All your other sessions have ended.",
}

func (s *site) showAccount(w http.ResponseWriter, r *http.Request, v visitor) error {
	return s.showAccountWith(w, r, v, passwordForm(), deletionForm(), 0)
}

// showAccountWith shows the account with forms that may have been filled in already.
func (s *site) showAccountWith(w http.ResponseWriter, r *http.Request, v visitor, password, deletion form, status int) error {
	content := accountContent{Password: password, Deletion: deletion}
	if err := s.callAsUser(w, r, &v, call{method: http.MethodGet, path: "/v1/users/me", response: &content.User}); err != nil {
		return err
	}
	var sessions list[session]
	if err := s.callAsUser(w, r, &v, call{method: http.MethodGet, path: "/v1/sessions", response: &sessions}); err != nil {
		return err
	}
	content.Sessions = sessions.Items
	message := accountMessages[r.URL.Query().Get("why")]
	return s.show(w, r, v, page{Name: "account", Title: "Your account", Message: message, Status: status, Content: content, Form: form{Status: status}})
}

func (s *site) changePassword(w http.ResponseWriter, r *http.Request, v visitor) error {
	f := passwordForm()
	if err := readForm(r, &f); err != nil {
		return err
	}
	err := s.callAsUser(w, r, &v, call{method: http.MethodPut, path: "/v1/users/me/password", body: f.body()})
	if f.addErrors(err) {
		return s.showAccountWith(w, r, v, f, deletionForm(), f.Status)
	}
	if err != nil {
		return err
	}
	return redirect(w, r, "/account?why=password")
}

func (s *site) endSession(w http.ResponseWriter, r *http.Request, v visitor) error {
	path := "/v1/sessions/" + url.PathEscape(r.PathValue("session"))
	err := s.callAsUser(w, r, &v, call{method: http.MethodDelete, path: path})
	if err != nil && !hasStatus(err, http.StatusNotFound) { // it has ended already
		return err
	}
	return redirect(w, r, "/account?why=session")
}

func (s *site) endOtherSessions(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := s.callAsUser(w, r, &v, call{method: http.MethodDelete, path: "/v1/sessions/others"}); err != nil {
		return err
	}
	return redirect(w, r, "/account?why=sessions")
}

func (s *site) deleteAccount(w http.ResponseWriter, r *http.Request, v visitor) error {
	f := deletionForm()
	if err := readForm(r, &f); err != nil {
		return err
	}
	err := s.callAsUser(w, r, &v, call{method: http.MethodPost, path: "/v1/users/me/deletion", body: f.body()})
	if f.addErrors(err) {
		return s.showAccountWith(w, r, v, passwordForm(), f, f.Status)
	}
	if err != nil {
		return err
	}
	deleteTokens(w)
	return redirect(w, r, loginPath("/", "deleted"))
}
