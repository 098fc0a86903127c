package api

import (
	"net/http"

	"slipway/app/internal/store"
)

// problemName identifies a type of problems. Names never change, because programs compare them. "" means no more than the
// status.
type problemName string

// MarshalText returns the path of the API that explains the type.
func (n problemName) MarshalText() ([]byte, error) {
	if n == "" {
		return []byte("about:blank"), nil // RFC 9457, section 4.2.1
	}
	return []byte("/v1/problems/" + n), nil
}

// problemType documents the problems of one type.
type problemType struct {
	Name        problemName `json:"type"`
	Status      int         `json:"status"`
	Description string      `json:"description"`
}

// problemTypes lists all types. The first one of each status is its default.
var problemTypes = []problemType{
	{"malformed-body", http.StatusBadRequest, "The body is not a JSON object. `detail` contains the position. Do not repeat the request unchanged."},
	{"invalid-query", http.StatusBadRequest, "Parameters of the query are not valid; `errors` lists them. Use cursors from `next` or `prev` unchanged."},
	{"idempotency-key-invalid", http.StatusBadRequest, "The `Idempotency-Key` is not one string of visible ASCII characters, such as a UUID."},
	{"access-token-missing", http.StatusUnauthorized, "The request needs `Authorization: Bearer` with an access token. POST /v1/sessions gives one."},
	{"access-token-invalid", http.StatusUnauthorized, "The access token has expired, or is not one of this API. POST /v1/sessions/refresh gives a new one; then repeat the request."},
	{"login-wrong", http.StatusUnauthorized, "The e-mail address or the password is wrong. The response does not say which."},
	{"session-ended", http.StatusUnauthorized, "The session was ended, has expired, or its refresh token was used before. Log in again."},
	{"not-yours", http.StatusForbidden, "Only the user who added a shop or wrote a review can change or delete it."},
	{"not-found", http.StatusNotFound, "There is nothing at this path, or with this ID. It may have been deleted."},
	{"method-not-allowed", http.StatusMethodNotAllowed, "The path cannot be used with this method. `Allow` lists those that can."},
	{"body-timeout", http.StatusRequestTimeout, "The body did not arrive in time. Repeat the request."},
	{"already-exists", http.StatusConflict, "What the request would add exists already."},
	{"email-taken", http.StatusConflict, "There is a user with this e-mail address."},
	{"already-reviewed", http.StatusConflict, "A user reviews a shop once. PUT /v1/reviews/{id} changes the review."},
	{"shop-has-reviews", http.StatusConflict, "A shop that others have reviewed cannot be deleted: their reviews are not yours."},
	{"idempotency-key-in-use", http.StatusConflict, "The first request with this `Idempotency-Key` is still running. Repeat it after the seconds in `Retry-After`."},
	{"body-too-large", http.StatusRequestEntityTooLarge, "The body is larger than this route accepts. `detail` contains the limit."},
	{"headers-too-many", http.StatusRequestHeaderFieldsTooLarge, "The request has more headers than the API accepts."},
	{"uri-too-long", http.StatusRequestURITooLong, "The path and the query together are longer than the API accepts."},
	{"unsupported-media-type", http.StatusUnsupportedMediaType, "The body has to be JSON, and Content-Type application/json."},
	{"invalid-fields", http.StatusUnprocessableEntity, "Fields of the body are not valid; `errors` lists them."},
	{"idempotency-key-reused", http.StatusUnprocessableEntity, "This `Idempotency-Key` was used for another request. Use a new one."},
	{"too-many-requests", http.StatusTooManyRequests, "The client has sent too many requests. Repeat it after the seconds in `Retry-After`."},
	{"internal-error", http.StatusInternalServerError, "The API failed. `requestId` leads to the reason in its log."},
	{"unavailable", http.StatusServiceUnavailable, "The API is not available now. Repeat the request after the seconds in `Retry-After`."},
	{"store-full", http.StatusInsufficientStorage, "Nothing more can be stored."},
}

// defaultName returns the default type of a status.
func defaultName(status int) problemName {
	for _, known := range problemTypes {
		if known.Status == status {
			return known.Name
		}
	}
	return ""
}

// as sets a more specific type than the default of the status.
func (p *problem) as(name problemName) *problem {
	p.Type = name
	return p
}

func listProblemTypes(w http.ResponseWriter, r *http.Request) error {
	return writeCacheable(w, r, struct {
		Items []problemType `json:"items"`
	}{problemTypes})
}

func getProblemType(w http.ResponseWriter, r *http.Request) error {
	for _, known := range problemTypes {
		if string(known.Name) == r.PathValue("name") {
			return writeCacheable(w, r, known)
		}
	}
	return store.ErrNotFound
}
