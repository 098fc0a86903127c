package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"unicode/utf8"

	"slipway/app/internal/httpserver"
)

// writeJSON encodes the value before it begins the response, so that an error can still become a 500.
func writeJSON(w http.ResponseWriter, status int, value any) error {
	content, err := encodeJSON(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(content)
	return nil
}

// encodeJSON does not escape & for HTML, so that the URLs in responses stay readable.
func encodeJSON(value any) ([]byte, error) {
	var content bytes.Buffer
	encoder := json.NewEncoder(&content)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode response: %w", err)
	}
	return content.Bytes(), nil
}

// readJSON reads a body with the media type of JSON. It does not parse it.
func readJSON(r *http.Request, limit int64) ([]byte, error) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Type must be application/json")
	}
	content, err := httpserver.ReadBody(r, limit)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return content, nil
	case errors.As(err, &tooLarge):
		return nil, refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case errors.Is(err, httpserver.ErrBusy):
		return nil, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "the body did not arrive in time")
	default:
		return nil, refuse(http.StatusBadRequest, "the body ends early")
	}
}

// decodeObject returns the fields of a JSON object, still encoded, or a 400 with the position of the error.
func decodeObject(content []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(content) {
		return nil, refuse(http.StatusBadRequest, "the body is not UTF-8")
	}
	if values, depth := measure(content); values > maxValues || depth > maxDepth {
		return nil, refuse(http.StatusBadRequest, fmt.Sprintf("the body has more than %d values, or more than %d levels", maxValues, maxDepth))
	}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(content, &fields)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		line, column := position(content, int(syntax.Offset))
		return nil, refuse(http.StatusBadRequest, fmt.Sprintf("the body is not JSON: line %d, column %d: %v", line, column, err))
	case err != nil || fields == nil:
		return nil, refuse(http.StatusBadRequest, "the body must be a JSON object")
	}
	return fields, nil
}

// maxValues and maxDepth are far above what any valid body needs. They are checked before the body is decoded, because a
// map of tiny values takes fifty times their bytes.
const (
	maxValues = 64
	maxDepth  = 8
)

// measure returns the number of values in a JSON text and their depth, without decoding it. For invalid JSON the result
// is arbitrary.
func measure(content []byte) (values, depth int) {
	open, inString := 0, false
	for i := 0; i < len(content); i++ {
		switch char := content[i]; {
		case inString && char == '\\':
			i++
		case char == '"':
			inString = !inString
		case inString:
		case char == '{', char == '[':
			open++
			values++
			depth = max(depth, open)
		case char == '}', char == ']':
			open--
		case char == ',':
			values++
		}
	}
	return values, depth
}

// position returns the line and the byte in that line after offset bytes, both counted from 1 as in editors.
func position(content []byte, offset int) (line, column int) {
	read := content[:min(offset, len(content))]
	return 1 + bytes.Count(read, []byte("\n")), len(read) - (bytes.LastIndexByte(read, '\n') + 1)
}
