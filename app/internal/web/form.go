package web

import (
	"errors"
	"net/http"
	"strconv"
)

// form is a form with its fields, the entered values and their errors.
type form struct {
	Action, Button string
	Fields         []field
	Back           string // the page to return to, or ""
	Wrong          string // error of the form as a whole
	Status         int    // of the page that shows the errors; 0 without errors
}

type field struct {
	Name, Label, Hint, Type, Autocomplete string
	MaxLength                             int
	Required                              bool
	Value, Wrong                          string
}

// Shown returns the value as a page shows it again. It is empty for passwords.
func (f field) Shown() string {
	if f.Type == "password" {
		return ""
	}
	return f.Value
}

// Described returns the IDs of the elements that describe the field.
func (f field) Described() (ids string) {
	if f.Hint != "" {
		ids = f.Name + "-hint"
	}
	if f.Wrong != "" {
		ids += " " + f.Name + "-wrong"
	}
	return ids
}

// fill sets the initial values by the names of the fields.
func (f *form) fill(values map[string]string) {
	for i := range f.Fields {
		f.Fields[i].Value = values[f.Fields[i].Name]
	}
}

// body returns the values for the API. Stars that are not a number are omitted, as if none were chosen.
func (f *form) body() map[string]any {
	values := map[string]any{}
	for _, field := range f.Fields {
		if field.Type != "stars" {
			values[field.Name] = field.Value
		} else if stars, err := strconv.Atoi(field.Value); err == nil {
			values[field.Name] = stars
		}
	}
	return values
}

// addErrors adds the errors of a problem to the fields. It returns false if the user cannot correct err in the form.
func (f *form) addErrors(err error) bool {
	var p *problem
	if !errors.As(err, &p) {
		return false
	}
	switch f.Status = p.Status; p.Status {
	case http.StatusUnprocessableEntity, http.StatusConflict:
	case http.StatusUnauthorized:
		f.Status = http.StatusForbidden // 401 would need a challenge that browsers know (RFC 9110, section 15.5.2)
	default:
		return false
	}
	if !f.addFieldErrors(p.Errors) {
		f.Wrong = sentence(p.Detail)
	}
	return true
}

// addFieldErrors reports whether any error is about a field of the form.
func (f *form) addFieldErrors(mistakes []fieldError) (added bool) {
	for i := range f.Fields {
		for _, mistake := range mistakes {
			if mistake.Field == f.Fields[i].Name {
				f.Fields[i].Wrong = sentence(f.Fields[i].Label + " " + mistake.Detail)
				added = true
			}
		}
	}
	return added
}

// Invalid reports whether the form has errors.
func (f form) Invalid() bool { return f.Status != 0 }
