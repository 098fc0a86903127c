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

// body is a JSON object that is read field by field. Mistakes are collected: end tells of all of them at once.
type body struct {
	fields map[string]json.RawMessage // those not read yet
	wrong  []fieldError
}

func decodeBody(content []byte) (*body, error) {
	fields, err := decodeObject(content)
	return &body{fields: fields}, err
}

// Bodies may escape each of their characters, in up to twelve bytes.
const (
	largestText    = 16 << 10 // a review has 1,000 characters, a shop 700
	largestAccount = 8 << 10  // a sign-up has 482
)

// readBody reads the object of a request whose body is no larger than limit.
func readBody(r *http.Request, limit int64) (*body, error) {
	content, err := readJSON(r, limit)
	if err != nil {
		return nil, err
	}
	return decodeBody(content)
}

// An answer with all errors stays far below 64 KiB.
const (
	mostErrors       = 20
	longestFieldName = 64
)

// end returns a problem that names the fields that are wrong, and those that are not known. If there are too many to
// name them all, the unknown ones give way.
func (b *body) end(of string) error {
	for _, field := range slices.Sorted(maps.Keys(b.fields)) {
		b.refuse(shorten(field), "is not a field of "+of)
	}
	if len(b.wrong) == 0 {
		return nil
	}
	detail := of + " is not valid"
	if len(b.wrong) > mostErrors {
		detail += fmt.Sprintf("; only %d of %d errors are named", mostErrors, len(b.wrong))
		b.wrong = b.wrong[:mostErrors]
	}
	slices.SortFunc(b.wrong, func(a, b fieldError) int { return cmp.Compare(a.Field, b.Field) })
	return refuse(http.StatusUnprocessableEntity, detail, b.wrong...)
}

func shorten(name string) string {
	if utf8.RuneCountInString(name) <= longestFieldName {
		return name
	}
	return string([]rune(name)[:longestFieldName]) + "…"
}

func (b *body) refuse(field, mistake string) {
	b.wrong = append(b.wrong, fieldError{field, mistake})
}

func (b *body) take(field string) (content json.RawMessage, given bool) {
	content, given = b.fields[field]
	delete(b.fields, field)
	return content, given
}

// name is one line that must be there.
func (b *body) name(field string, longest int) string {
	text, fine := b.text(field, longest, normalName, nameMistake)
	if fine && text == "" {
		b.refuse(field, "must not be empty")
	}
	return text
}

// line may be left out.
func (b *body) line(field string, longest int) string {
	text, _ := b.text(field, longest, normalName, nameMistake)
	return text
}

// lines may be left out, and may have several lines.
func (b *body) lines(field string, longest int) string {
	text, _ := b.text(field, longest, norm.NFC.String, linesMistake)
	return text
}

// normalName makes one name of those that look the same but for how they are encoded, and for the space around them.
func normalName(text string) string { return strings.TrimSpace(norm.NFC.String(text)) }

// secret may have any character, and is not shown in what is wrong with it.
func (b *body) secret(field string, shortest, longest int) string {
	text, fine := b.text(field, longest, unchanged, func(string) string { return "" })
	if fine && utf8.RuneCountInString(text) < shortest {
		b.refuse(field, fmt.Sprintf("must have at least %d characters", shortest))
	}
	return text
}

// newPassword is a secret to be kept from now on.
func (b *body) newPassword(field string, knownBy ...string) string {
	text := b.secret(field, shortestPassword, longestPassword)
	if mistake := guessable(text, knownBy...); mistake != "" && utf8.RuneCountInString(text) >= shortestPassword {
		b.refuse(field, mistake)
	}
	return text
}

// guessable says why a password is among those that are guessed first (NIST SP 800-63B, section 3.1.1.2): the commonest
// ones, and what its user is known by. It returns "" if it is not.
func guessable(password string, knownBy ...string) (mistake string) {
	switch is := func(other string) bool { return strings.EqualFold(password, other) }; {
	case slices.ContainsFunc(knownBy, is):
		return "must not be your name or your e-mail address"
	case auth.IsCommon(password):
		return "is one of those that are guessed first: choose another one"
	}
	return ""
}

func unchanged(text string) string { return text }

const longestEmail = 254 // RFC 5321, section 4.5.3.1.3

// email is returned in lower case: nobody expects two accounts for two spellings.
func (b *body) email(field string) string {
	text, fine := b.text(field, longestEmail, unchanged, nameMistake)
	if !fine {
		return ""
	}
	if address, err := mail.ParseAddress(text); err != nil || address.Address != text {
		b.refuse(field, "must be an e-mail address")
	}
	return strings.ToLower(text)
}

// text reads a string, normalizes it, and refuses it if it is too long or if mistake finds one.
func (b *body) text(field string, longest int, normalize, mistake func(string) string) (text string, fine bool) {
	content, given := b.take(field)
	if !given {
		return "", true
	}
	var value *string // so that null is seen
	if err := json.Unmarshal(content, &value); err != nil || value == nil {
		b.refuse(field, "must be a string")
		return "", false
	}
	text = normalize(*value)
	if utf8.RuneCountInString(text) > longest {
		b.refuse(field, fmt.Sprintf("must have at most %d characters", longest))
		return "", false
	}
	if wrong := mistake(text); wrong != "" {
		b.refuse(field, wrong)
		return "", false
	}
	return text, true
}

// number must be there.
func (b *body) number(field string, smallest, largest int) int {
	content, given := b.take(field)
	var value *int
	if err := json.Unmarshal(content, &value); !given || err != nil || value == nil || *value < smallest || *value > largest {
		b.refuse(field, fmt.Sprintf("must be a whole number from %d to %d", smallest, largest))
		return 0
	}
	return *value
}
