package web

import (
	"net/url"
	"slices"
)

// list is a page of a list as the API has it.
type list[T any] struct {
	Items []T
	Next  string // URL of the API, or ""
}

// around is where one can go from a page of a list, or "".
type around struct{ First, Next string }

// around are the pages of the list at this path, asked with these names and values, seen from the page at cursor.
func (l list[T]) around(path, cursor string, asked ...string) (a around) {
	if cursor != "" {
		a.First = path + query(asked...)
	}
	if next, err := url.Parse(l.Next); err == nil && next.Query().Has("cursor") {
		a.Next = path + query(append(asked, "cursor", next.Query().Get("cursor"))...)
	}
	return a
}

// query has the names and values that are not empty.
func query(pairs ...string) string {
	values := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			values.Set(pair[0], pair[1])
		}
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}
