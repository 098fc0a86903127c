package web

import (
	"errors"
	"net/http"
	"strconv"
)

// form is what is asked, what was answered, and what is wrong with that.
type form struct {
	Action, Button string
	Fields         []field
	Back           string // where to go on, if the form leads back
	Wrong          string // with the form as a whole
	Status         int    // of the page that shows what is wrong
}

type field struct {
	Name, Label, Hint, Type, Autocomplete string
	Longest                               int
	Required                              bool
	Value, Wrong                          string
}

// Shown is the value as a page shows it again: never that of a password.
func (f field) Shown() string {
	if f.Type == "password" {
		return ""
	}
	return f.Value
}

// Described has the ids of what is said about the field.
func (f field) Described() (ids string) {
	if f.Hint != "" {
		ids = f.Name + "-hint"
	}
	if f.Wrong != "" {
		ids += " " + f.Name + "-wrong"
	}
	return ids
}

// fill puts in the values the form begins with, by the names of the fields.
func (f *form) fill(values map[string]string) {
	for at := range f.Fields {
		f.Fields[at].Value = values[f.Fields[at].Name]
	}
}

// body has the values as the API takes them; stars that are no number are left out, as if none were chosen.
func (f *form) body() map[string]any {
	values := map[string]any{}
	for _, each := range f.Fields {
		if each.Type != "stars" {
			values[each.Name] = each.Value
		} else if stars, err := strconv.Atoi(each.Value); err == nil {
			values[each.Name] = stars
		}
	}
	return values
}

// refuse puts what the API says is wrong beside the fields. False: err is nothing whoever fills in the form can mend.
func (f *form) refuse(err error) bool {
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
	if !f.mark(p.Errors) {
		f.Wrong = sentence(p.Detail)
	}
	return true
}

// mark is false if nothing was said about any field of the form.
func (f *form) mark(wrong []fieldError) (marked bool) {
	for at := range f.Fields {
		for _, each := range wrong {
			if each.Field == f.Fields[at].Name {
				f.Fields[at].Wrong = sentence(f.Fields[at].Label + " " + each.Detail)
				marked = true
			}
		}
	}
	return marked
}

// Invalid tells whether there is anything to mend.
func (f form) Invalid() bool { return f.Status != 0 }
