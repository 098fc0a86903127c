package web

import (
	"net/http"
	"strings"
)

func loginForm() form {
	return form{Action: "/login", Button: "Log in", Fields: []field{
		{Name: "email", Label: "E-mail address", Type: "email", MaxLength: 254, Required: true, Autocomplete: "username"},
		{Name: "password", Label: "Password", Type: "password", MaxLength: 128, Required: true, Autocomplete: "current-password"},
	}}
}

func signUpForm() form {
	return form{Action: "/signup", Button: "Sign up", Fields: []field{
		{Name: "name", Label: "Name", Hint: "Shown with your reviews.", Type: "text", MaxLength: 100, Required: true, Autocomplete: "name"},
		{Name: "email", Label: "E-mail address", Hint: "Never shown.", Type: "email", MaxLength: 254, Required: true, Autocomplete: "username"},
		{Name: "password", Label: "Password", Hint: "At least 10 characters.", Type: "password", MaxLength: 128, Required: true, Autocomplete: "new-password"},
	}}
}

// loginMessages are the messages of the login page, by the parameter `why`. A link can therefore show no other text on
// it.
var loginMessages = map[string]string{
	"new":     "Your account is there. Log in to use it.",
	"ended":   "Your session has ended. Log in to continue.",
	"deleted": "Your account is deleted, with your reviews and likes.",
}

func (s *site) newAccount(w http.ResponseWriter, r *http.Request, v visitor) error {
	return s.show(w, r, v, page{Name: "form", Title: "Sign up", Form: signUpForm()})
}

func (s *site) signUp(w http.ResponseWriter, r *http.Request, v visitor) error {
	f := signUpForm()
	if err := readForm(r, &f); err != nil {
		return err
	}
	err := s.api.do(r.Context(), v, call{method: http.MethodPost, path: "/v1/users", key: newKey(), body: f.body()})
	if f.addErrors(err) {
		return s.show(w, r, v, page{Name: "form", Title: "Sign up", Status: f.Status, Form: f})
	}
	if err != nil {
		return err
	}
	return redirect(w, r, loginPath("/", "new"))
}

func (s *site) newLogin(w http.ResponseWriter, r *http.Request, v visitor) error {
	f := loginForm()
	f.Back = v.back
	return s.show(w, r, v, page{Name: "form", Title: "Log in", Message: loginMessages[r.URL.Query().Get("why")], Form: f})
}

func (s *site) logIn(w http.ResponseWriter, r *http.Request, v visitor) error {
	f := loginForm()
	if err := readForm(r, &f); err != nil {
		return err
	}
	f.Back = localPath(r.PostForm.Get("back"))
	var issued tokens
	err := s.api.do(r.Context(), v, call{method: http.MethodPost, path: "/v1/sessions", body: f.body(), response: &issued})
	if f.addErrors(err) {
		return s.show(w, r, v, page{Name: "form", Title: "Log in", Status: f.Status, Form: f})
	}
	if err != nil {
		return err
	}
	setTokens(w, issued)
	return redirect(w, r, f.Back)
}

// logOut ends the session. It deletes the cookies even if the API fails, because then no browser has the token of the
// session any more.
func (s *site) logOut(w http.ResponseWriter, r *http.Request, v visitor) error {
	if v.SignedIn() {
		if err := s.callAsUser(w, r, &v, call{method: http.MethodDelete, path: "/v1/sessions"}); err != nil {
			s.Logger.WarnContext(r.Context(), "the session was not ended at the API, only its cookies were deleted", "error", err)
		}
	}
	deleteTokens(w)
	return redirect(w, r, "/")
}

// maxPath is longer than the address of any page.
const maxPath = 4 << 10

// localPath returns the path, or "/" if it could lead to another site: browsers treat // and \ as the beginning of a
// host.
func localPath(path string) string {
	if len(path) > maxPath || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\t\r\n") {
		return "/"
	}
	return path
}

// redirect makes the browser load a page with GET, so that reloading it does not send the form again.
func redirect(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}
