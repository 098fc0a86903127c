package web

import (
	"net/http"
	"strings"
)

func loginForm() form {
	return form{Action: "/login", Button: "Log in", Fields: []field{
		{Name: "email", Label: "E-mail address", Type: "email", Longest: 254, Required: true, Autocomplete: "username"},
		{Name: "password", Label: "Password", Type: "password", Longest: 128, Required: true, Autocomplete: "current-password"},
	}}
}

func signUpForm() form {
	return form{Action: "/signup", Button: "Sign up", Fields: []field{
		{Name: "name", Label: "Name", Hint: "Shown with your reviews.", Type: "text", Longest: 100, Required: true, Autocomplete: "name"},
		{Name: "email", Label: "E-mail address", Hint: "Never shown.", Type: "email", Longest: 254, Required: true, Autocomplete: "username"},
		{Name: "password", Label: "Password", Hint: "At least 10 characters.", Type: "password", Longest: 128, Required: true, Autocomplete: "new-password"},
	}}
}

// reasons are what a login page may be asked to say; nothing else can be put on it from outside.
var reasons = map[string]string{
	"new":     "Your account is there. Log in to use it.",
	"ended":   "Your session has ended. Log in to go on.",
	"deleted": "Your account is deleted, with your reviews and likes.",
}

func (s *site) newAccount(w http.ResponseWriter, r *http.Request, who visitor) error {
	return s.show(w, r, who, page{Name: "form", Title: "Sign up", Form: signUpForm()})
}

func (s *site) signUp(w http.ResponseWriter, r *http.Request, who visitor) error {
	f := signUpForm()
	if err := readForm(r, &f); err != nil {
		return err
	}
	err := s.api.do(r.Context(), who, call{method: http.MethodPost, path: "/v1/users", key: newKey(), body: f.body()})
	if f.refuse(err) {
		return s.show(w, r, who, page{Name: "form", Title: "Sign up", Status: f.Status, Form: f})
	}
	if err != nil {
		return err
	}
	return redirect(w, r, toLogin("/", "new"))
}

func (s *site) newLogin(w http.ResponseWriter, r *http.Request, who visitor) error {
	f := loginForm()
	f.Back = who.back
	return s.show(w, r, who, page{Name: "form", Title: "Log in", Said: reasons[r.URL.Query().Get("why")], Form: f})
}

func (s *site) logIn(w http.ResponseWriter, r *http.Request, who visitor) error {
	f := loginForm()
	if err := readForm(r, &f); err != nil {
		return err
	}
	f.Back = local(r.PostForm.Get("back"))
	var given tokens
	err := s.api.do(r.Context(), who, call{method: http.MethodPost, path: "/v1/sessions", body: f.body(), answer: &given})
	if f.refuse(err) {
		return s.show(w, r, who, page{Name: "form", Title: "Log in", Status: f.Status, Form: f})
	}
	if err != nil {
		return err
	}
	remember(w, given)
	return redirect(w, r, f.Back)
}

// logOut ends the session in this browser whatever the API says: what it cannot end now, nobody has the token of.
func (s *site) logOut(w http.ResponseWriter, r *http.Request, who visitor) error {
	if who.SignedIn() {
		if err := s.asUser(w, r, &who, call{method: http.MethodDelete, path: "/v1/sessions"}); err != nil {
			s.Logger.WarnContext(r.Context(), "a session was not ended, only forgotten", "error", err)
		}
	}
	forget(w)
	return redirect(w, r, "/")
}

// longestPath is more than any page's address has.
const longestPath = 4 << 10

// local is a path of this site, and "/" instead of anything that leads elsewhere: browsers take // and \ for a host.
func local(path string) string {
	if len(path) > longestPath || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\t\r\n") {
		return "/"
	}
	return path
}

// redirect makes the browser get the next page: reloading that sends nothing again.
func redirect(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}
