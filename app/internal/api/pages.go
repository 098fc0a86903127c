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

// page is the requested part of a list.
type page struct {
	limit int
	from  cursor // the zero cursor stands for the newest item
}

// query returns the page to read from the store, with one extra item that shows whether there is a further page.
func (p page) query() store.Page {
	if p.from.newer {
		return store.Page{After: p.from.id, Limit: p.limit + 1}
	}
	return store.Page{Before: p.from.id, Limit: p.limit + 1}
}

// readPage parses limit and cursor, and reports the errors of both. A limit above the maximum is lowered to it, because
// the maximum may change between two pages.
func (a *api) readPage(query url.Values) (page, error) {
	limit, mistakes := a.readLimit(query)
	var from cursor
	if query.Has("cursor") {
		var err error
		if from, err = a.cursors.decode(query.Get("cursor")); err != nil {
			mistakes = append(mistakes, fieldError{"cursor", err.Error()})
		}
	}
	return page{limit, from}, refuseQuery(mistakes)
}

func (a *api) readLimit(query url.Values) (limit int, mistakes []fieldError) {
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

// refuseQuery returns a problem with these mistakes, or nil if there are none.
func refuseQuery(mistakes []fieldError) error {
	if len(mistakes) == 0 {
		return nil
	}
	return refuse(http.StatusBadRequest, "the query is not valid", mistakes...).as("invalid-query")
}

// cut returns the items of the page, and the cursors of the next and the previous page, which are zero if there is none.
func cut[T any](p page, read []T, id func(T) store.ID) (items []T, next, prev cursor) {
	further := len(read) > p.limit
	switch {
	case further && p.from.newer:
		read = read[1:]
	case further:
		read = read[:p.limit]
	}
	if len(read) == 0 {
		return read, next, prev
	}
	// A page with a cursor was reached from another page, which is therefore its neighbour.
	reached := p.from != (cursor{})
	if further && !p.from.newer || reached && p.from.newer {
		next = cursor{id: id(read[len(read)-1])}
	}
	if further && p.from.newer || reached && !p.from.newer {
		prev = cursor{id: id(read[0]), newer: true}
	}
	return read, next, prev
}

// link returns the URL of the page at this cursor, and adds it to the header Link. For the zero cursor it returns "".
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

// writePage writes one page, with the URLs of the next and the previous one in `next`, `prev` and Link (RFC 8288). New
// items are newer than all following ones, so that next pages neither repeat nor skip an item.
func writePage[T, View any](a *api, w http.ResponseWriter, r *http.Request, p page, read []T, id func(T) store.ID, view func(T) View) error {
	items, next, prev := cut(p, read, id)
	response := struct {
		Items []View `json:"items"`
		Next  string `json:"next,omitempty"`
		Prev  string `json:"prev,omitempty"`
	}{views(items, view), a.link(w, r, "next", next), a.link(w, r, "prev", prev)}
	return writeJSON(w, http.StatusOK, response)
}

// views converts a list. The result is never nil, so that an empty list is encoded as [] and not as null.
func views[T, View any](all []T, view func(T) View) []View {
	result := make([]View, len(all))
	for i, value := range all {
		result[i] = view(value)
	}
	return result
}

// writeCacheable writes a response that clients may cache, and have to revalidate each time.
func writeCacheable(w http.ResponseWriter, r *http.Request, value any) error {
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

// matches reports whether If-None-Match contains the ETag, with the weak comparison of RFC 9110, section 13.1.2.
func matches(ifNoneMatch []string, etag string) bool {
	for candidate := range strings.SplitSeq(strings.Join(ifNoneMatch, ","), ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}
