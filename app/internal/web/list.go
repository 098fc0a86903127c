package web

import (
	"net/url"
	"slices"
)

// list is a page of a list of the API.
type list[T any] struct {
	Items []T
	// URLs of the API, or ""
	Next, Prev string
}

// pageLinks are the paths of the other pages of a list, or "".
type pageLinks struct{ First, Previous, Next string }

// links returns the other pages of the list at this path and with this query, relative to the page at cursor.
func (l list[T]) links(path, cursor string, pairs ...string) (links pageLinks) {
	if cursor != "" {
		links.First = path + query(pairs...)
	}
	links.Previous, links.Next = atCursor(l.Prev, path, pairs), atCursor(l.Next, path, pairs)
	return links
}

// atCursor returns the path and query of the page at the cursor of a URL of the API, or "" if that has none.
func atCursor(apiURL, path string, pairs []string) string {
	parsed, err := url.Parse(apiURL)
	if err != nil || !parsed.Query().Has("cursor") {
		return ""
	}
	return path + query(slices.Concat(pairs, []string{"cursor", parsed.Query().Get("cursor")})...)
}

// query encodes the pairs of name and value whose value is not empty.
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
