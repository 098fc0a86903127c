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

// listItems answers one page, newest first, with the URL of the next one in `next` and Link (RFC 8288) if there is
// one. Items added meanwhile are newer than all that follow, so pages neither repeat nor skip an item.
func (a *api) listItems(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	limit, before, err := a.page(query)
	if err != nil {
		return err
	}
	items, err := a.Store.List(r.Context(), before, limit+1)
	if err != nil {
		return fmt.Errorf("list items: %w", err)
	}
	if items == nil {
		items = []store.Item{} // [], not null
	}
	var next string
	if len(items) > limit {
		items = items[:limit]
		query.Set("cursor", a.cursors.encode(items[limit-1].ID))
		next = r.URL.Path + "?" + query.Encode()
		w.Header().Set("Link", "<"+next+`>; rel="next"`)
	}
	return writeJSON(w, http.StatusOK, struct {
		Items []store.Item `json:"items"`
		Next  string       `json:"next,omitempty"`
	}{items, next})
}

// page reads limit and cursor, and names both if both are wrong. A limit above the maximum is lowered to it: the
// maximum may change between two pages.
func (a *api) page(query url.Values) (limit int, before store.ID, err error) {
	var wrong []fieldError
	size := a.File().PageSize
	limit = size.Default
	if query.Has("limit") {
		limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || limit < 1 {
			wrong = append(wrong, fieldError{"limit", "must be a whole number from 1 to " + strconv.Itoa(size.Max)})
		}
	}
	if query.Has("cursor") {
		if before, err = a.cursors.decode(query.Get("cursor")); err != nil {
			wrong = append(wrong, fieldError{"cursor", err.Error()})
		}
	}
	if len(wrong) > 0 {
		return 0, before, refuse(http.StatusBadRequest, "the query is not valid", wrong...)
	}
	return min(limit, size.Max), before, nil
}

func (a *api) addItem(w http.ResponseWriter, r *http.Request) error {
	content, err := readJSON(r)
	if err != nil {
		return err
	}
	draft, err := decodeDraft(content)
	if err != nil {
		return err
	}
	item, err := a.Store.Add(r.Context(), draft)
	if err != nil {
		return fmt.Errorf("add item: %w", err)
	}
	w.Header().Set("Location", "/v1/items/"+item.ID.String())
	return writeJSON(w, http.StatusCreated, item)
}

// getItem lets clients keep the item, and ask each time whether it is still the same.
func (a *api) getItem(w http.ResponseWriter, r *http.Request) error {
	id, err := store.ParseID(r.PathValue("id"))
	if err != nil {
		return store.ErrNotFound
	}
	item, err := a.Store.Get(r.Context(), id)
	if err != nil {
		return fmt.Errorf("get item: %w", err)
	}
	content, err := encodeJSON(item)
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
