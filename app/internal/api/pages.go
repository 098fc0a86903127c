package api

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"slipway/app/internal/store"
)

// page is the part of a list a client asked for.
type page struct {
	limit int
	from  cursor // the zero cursor: from the newest on
}

// stored is what a store is asked for: one entry beyond the limit tells that there is a further page.
func (p page) stored() store.Page {
	if p.from.newer {
		return store.Page{After: p.from.id, Limit: p.limit + 1}
	}
	return store.Page{Before: p.from.id, Limit: p.limit + 1}
}

// readPage reads limit and cursor, and names both if both are wrong. A limit above the maximum is lowered to it: the
// maximum may change between two pages.
func (a *api) readPage(query url.Values) (page, error) {
	limit, wrong := a.readLimit(query)
	var from cursor
	if query.Has("cursor") {
		var err error
		if from, err = a.cursors.decode(query.Get("cursor")); err != nil {
			wrong = append(wrong, fieldError{"cursor", err.Error()})
		}
	}
	return page{limit, from}, refuseQuery(wrong)
}

func (a *api) readLimit(query url.Values) (limit int, wrong []fieldError) {
	size := a.File().PageSize
	if !query.Has("limit") {
		return size.Default, nil
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 {
		return 0, []fieldError{{"limit", "must be a whole number from 1 to " + strconv.Itoa(size.Max)}}
	}
	return min(limit, size.Max), nil
}

func refuseQuery(wrong []fieldError) error {
	if len(wrong) == 0 {
		return nil
	}
	return refuse(http.StatusBadRequest, "the query is not valid", wrong...).as("invalid-query")
}

// cut returns what belongs to the page, and where the next and the previous page begin; the zero cursor is for none.
func cut[T any](p page, found []T, id func(T) store.ID) (items []T, next, prev cursor) {
	further := len(found) > p.limit
	switch {
	case further && p.from.newer:
		found = found[1:]
	case further:
		found = found[:p.limit]
	}
	if len(found) == 0 {
		return found, next, prev
	}
	// A page that was reached from another one has that one beside it.
	reached := p.from != (cursor{})
	if further && !p.from.newer || reached && p.from.newer {
		next = cursor{id: id(found[len(found)-1])}
	}
	if further && p.from.newer || reached && !p.from.newer {
		prev = cursor{id: id(found[0]), newer: true}
	}
	return found, next, prev
}

// link returns the URL of the page that begins there, and adds it to Link; "" if there is none.
func (a *api) link(w http.ResponseWriter, r *http.Request, relation string, from cursor) string {
	if from == (cursor{}) {
		return ""
	}
	query := r.URL.Query()
	query.Set("cursor", a.cursors.encode(from))
	target := r.URL.Path + "?" + query.Encode()
	w.Header().Add("Link", "<"+target+`>; rel="`+relation+`"`)
	return target
}

// writePage answers one page, with the URLs of the next and the previous one in `next`, `prev` and Link (RFC 8288) if
// there are any. What is added meanwhile is newer than all that follows, so next pages neither repeat nor skip anything.
func writePage[T, View any](a *api, w http.ResponseWriter, r *http.Request, p page, found []T, id func(T) store.ID, view func(T) View) error {
	found, next, prev := cut(p, found, id)
	answer := struct {
		Items []View `json:"items"`
		Next  string `json:"next,omitempty"`
		Prev  string `json:"prev,omitempty"`
	}{views(found, view), a.link(w, r, "next", next), a.link(w, r, "prev", prev)}
	return writeJSON(w, http.StatusOK, answer)
}

// views is never nil: an empty list is [], not null.
func views[T, View any](all []T, view func(T) View) []View {
	result := make([]View, len(all))
	for at, each := range all {
		result[at] = view(each)
	}
	return result
}

// writeKept lets clients keep the answer, and ask each time whether it is still the same.
func writeKept(w http.ResponseWriter, r *http.Request, value any) error {
	content, err := encodeJSON(value)
	if err != nil {
		return err
	}
	etag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Vary", "Authorization")
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return writeJSON(w, http.StatusOK, json.RawMessage(content))
}

// matches compares weakly, as RFC 9110 section 13.1.2 asks for.
func matches(ifNoneMatch []string, etag string) bool {
	for candidate := range strings.SplitSeq(strings.Join(ifNoneMatch, ","), ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}
