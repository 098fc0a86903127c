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
	limit  int
	before store.ID // the zero ID: from the newest on
}

// more is the limit a store is asked with: one beyond it tells that there is a next page.
func (p page) more() int { return p.limit + 1 }

// readPage reads limit and cursor, and names both if both are wrong. A limit above the maximum is lowered to it: the
// maximum may change between two pages.
func (a *api) readPage(query url.Values) (page, error) {
	limit, wrong := a.readLimit(query)
	var before store.ID
	if query.Has("cursor") {
		var err error
		if before, err = a.cursors.decode(query.Get("cursor")); err != nil {
			wrong = append(wrong, fieldError{"cursor", err.Error()})
		}
	}
	return page{limit, before}, refuseQuery(wrong)
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

// writePage answers one page, with the URL of the next one in `next` and Link (RFC 8288) if there is one. What is added
// meanwhile is newer than all that follows, so pages neither repeat nor skip anything.
func writePage[T, View any](a *api, w http.ResponseWriter, r *http.Request, p page, found []T, id func(T) store.ID, view func(T) View) error {
	var next string
	if len(found) > p.limit {
		found = found[:p.limit]
		query := r.URL.Query()
		query.Set("cursor", a.cursors.encode(id(found[p.limit-1])))
		next = r.URL.Path + "?" + query.Encode()
		w.Header().Set("Link", "<"+next+`>; rel="next"`)
	}
	return writeJSON(w, http.StatusOK, struct {
		Items []View `json:"items"`
		Next  string `json:"next,omitempty"`
	}{views(found, view), next})
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
