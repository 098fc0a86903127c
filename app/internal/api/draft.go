package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipway/app/internal/store"
)

const (
	longestName        = 100
	longestDescription = 500
)

// decodeDraft reads the body of a new item, or returns a problem that names every field that is wrong.
func decodeDraft(content []byte) (store.Draft, error) {
	fields, err := decodeObject(content)
	if err != nil {
		return store.Draft{}, err
	}
	var draft store.Draft
	var wrong []fieldError
	check := func(field, mistake string) {
		if mistake != "" {
			wrong = append(wrong, fieldError{field, mistake})
		}
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		switch field {
		case "name":
			check(field, decodeText(fields[field], &draft.Name, longestName))
		case "description":
			check(field, decodeText(fields[field], &draft.Description, longestDescription))
		default:
			check(field, "is not a field of an item")
		}
	}
	if strings.TrimSpace(draft.Name) == "" && !slices.ContainsFunc(wrong, func(e fieldError) bool { return e.Field == "name" }) {
		check("name", "must not be empty")
	}
	if len(wrong) > 0 {
		return store.Draft{}, refuse(http.StatusUnprocessableEntity, "the item is not valid", wrong...)
	}
	return draft, nil
}

// decodeText returns what is wrong with the text, or "".
func decodeText(content json.RawMessage, text *string, longest int) string {
	var value *string // so that null is seen
	if err := json.Unmarshal(content, &value); err != nil || value == nil {
		return "must be a string"
	}
	*text = *value
	switch {
	case utf8.RuneCountInString(*text) > longest:
		return fmt.Sprintf("must have at most %d characters", longest)
	case strings.ContainsFunc(*text, unicode.IsControl):
		return "must not have control characters"
	}
	return ""
}
