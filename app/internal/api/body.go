package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"slipway/app/internal/auth"
)

// body is a JSON object that is read field by field. It collects errors, so that end reports all of them at once.
type body struct {
	fields map[string]json.RawMessage // not read yet
	errors []fieldError
}

func decodeBody(content []byte) (*body, error) {
	fields, err := decodeObject(content)
	return &body{fields: fields}, err
}

// Limits of bodies in bytes. Each character may be escaped, in up to twelve bytes.
const (
	maxTextBody    = 16 << 10 // a review has up to 1,000 characters, a shop 700
	maxAccountBody = 8 << 10  // a sign-up has up to 482 characters
)

// readBody reads the JSON object of a request. It refuses bodies larger than limit.
func readBody(r *http.Request, limit int64) (*body, error) {
	content, err := readJSON(r, limit)
	if err != nil {
		return nil, err
	}
	return decodeBody(content)
}

// With these limits, a response with all errors stays far below 64 KiB.
const (
	maxErrors    = 20
	maxFieldName = 64
)

// end returns a problem with all invalid and unknown fields, or nil. noun names what the body describes. If there are
// more than maxErrors, unknown fields are dropped first.
func (b *body) end(noun string) error {
	for _, field := range slices.Sorted(maps.Keys(b.fields)) {
		b.refuse(shorten(field), "is not a field of "+noun)
	}
	if len(b.errors) == 0 {
		return nil
	}
	detail := noun + " is not valid"
	if len(b.errors) > maxErrors {
		detail += fmt.Sprintf("; only %d of %d errors are named", maxErrors, len(b.errors))
		b.errors = b.errors[:maxErrors]
	}
	slices.SortFunc(b.errors, func(a, b fieldError) int { return cmp.Compare(a.Field, b.Field) })
	return refuse(http.StatusUnprocessableEntity, detail, b.errors...)
}

func shorten(name string) string {
	if utf8.RuneCountInString(name) <= maxFieldName {
		return name
	}
	return string([]rune(name)[:maxFieldName]) + "…"
}

// refuse adds an error.
func (b *body) refuse(field, mistake string) {
	b.errors = append(b.errors, fieldError{field, mistake})
}

// take returns a field and removes it from those not read yet.
func (b *body) take(field string) (content json.RawMessage, exists bool) {
	content, exists = b.fields[field]
	delete(b.fields, field)
	return content, exists
}

// name reads a required text of one line.
func (b *body) name(field string, maxLength int) string {
	text, ok := b.text(field, maxLength, normalizeName, nameMistake)
	if ok && text == "" {
		b.refuse(field, "must not be empty")
	}
	return text
}

// line reads an optional text of one line.
func (b *body) line(field string, maxLength int) string {
	text, _ := b.text(field, maxLength, normalizeName, nameMistake)
	return text
}

// lines reads an optional text of any number of lines.
func (b *body) lines(field string, maxLength int) string {
	text, _ := b.text(field, maxLength, norm.NFC.String, linesMistake)
	return text
}

// normalizeName returns the same text for names that differ only in Unicode encoding or surrounding space.
func normalizeName(text string) string { return strings.TrimSpace(norm.NFC.String(text)) }

// secret reads a text with any characters. Its errors do not show the value.
func (b *body) secret(field string, minLength, maxLength int) string {
	text, ok := b.text(field, maxLength, unchanged, func(string) string { return "" })
	if ok && utf8.RuneCountInString(text) < minLength {
		b.refuse(field, fmt.Sprintf("must have at least %d characters", minLength))
	}
	return text
}

// newPassword reads a password that will be set. userNames are names of its user, which it must not be.
func (b *body) newPassword(field string, userNames ...string) string {
	text := b.secret(field, minPassword, maxPassword)
	if mistake := guessable(text, userNames...); mistake != "" && utf8.RuneCountInString(text) >= minPassword {
		b.refuse(field, mistake)
	}
	return text
}

// guessable returns why an attacker would try this password early (NIST SP 800-63B, section 3.1.1.2): it is common, or a
// name of its user. Otherwise it returns "".
func guessable(password string, userNames ...string) (mistake string) {
	switch equals := func(other string) bool { return strings.EqualFold(password, other) }; {
	case slices.ContainsFunc(userNames, equals):
		return "must not be your name or your e-mail address"
	case auth.IsCommon(password):
		return "is one of those that are guessed first: choose another one"
	}
	return ""
}

func unchanged(text string) string { return text }

const maxEmail = 254 // RFC 5321, section 4.5.3.1.3

// email reads an e-mail address and returns it in lower case, so that spellings in another case belong to the same
// account.
func (b *body) email(field string) string {
	text, ok := b.text(field, maxEmail, unchanged, nameMistake)
	if !ok {
		return ""
	}
	if address, err := mail.ParseAddress(text); err != nil || address.Address != text {
		b.refuse(field, "must be an e-mail address")
	}
	return strings.ToLower(text)
}

// text reads a string and normalizes it. It refuses the string if it is too long, or if mistake returns one.
func (b *body) text(field string, maxLength int, normalize, mistake func(string) string) (text string, ok bool) {
	content, exists := b.take(field)
	if !exists {
		return "", true
	}
	var value *string // a pointer, to notice null
	if err := json.Unmarshal(content, &value); err != nil || value == nil {
		b.refuse(field, "must be a string")
		return "", false
	}
	text = normalize(*value)
	if utf8.RuneCountInString(text) > maxLength {
		b.refuse(field, fmt.Sprintf("must have at most %d characters", maxLength))
		return "", false
	}
	if reason := mistake(text); reason != "" {
		b.refuse(field, reason)
		return "", false
	}
	return text, true
}

// number reads a required whole number.
func (b *body) number(field string, minimum, maximum int) int {
	content, exists := b.take(field)
	var value *int
	if err := json.Unmarshal(content, &value); !exists || err != nil || value == nil || *value < minimum || *value > maximum {
		b.refuse(field, fmt.Sprintf("must be a whole number from %d to %d", minimum, maximum))
		return 0
	}
	return *value
}
