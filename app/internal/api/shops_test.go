package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"slipway/app/internal/store"
)

func TestLocationIsThePathOfTheAddedShop(t *testing.T) {
	s := newService(t, &store.Memory{})
	posted := s.do("POST", "/v1/shops", `{"name": "<a> & b", "city": "Köln", "description": "größer\nbesser"}`, s.as(1)...)
	if posted.Code != http.StatusCreated {
		t.Fatalf("%d %s", posted.Code, posted.Body)
	}
	got := s.do("GET", posted.Header().Get("Location"), "", s.as(1)...)
	if !strings.Contains(posted.Body.String(), `"<a> & b"`) {
		t.Errorf("escaped for HTML: %s", posted.Body)
	}
	if got.Code != http.StatusOK || got.Body.String() != posted.Body.String() {
		t.Errorf("got %d %s, posted %s", got.Code, got.Body, posted.Body)
	}
	if want := `"name":"<a> & b","city":"Köln","description":"größer\nbesser","rating":{"average":null,"reviews":0,"likes":0},"mine":true}`; !strings.HasSuffix(got.Body.String(), want+"\n") {
		t.Errorf("shop is %s", got.Body)
	}
}

func TestACachedShopIsNotSentAgain(t *testing.T) {
	s := newService(t, &store.Memory{})
	location := s.add("kept")
	etag := s.do("GET", location, "").Header().Get("ETag")
	for given, want := range map[string]int{
		etag:                    http.StatusNotModified,
		"W/" + etag:             http.StatusNotModified,
		`"other", ` + etag:      http.StatusNotModified,
		"*":                     http.StatusNotModified,
		`"other"`:               http.StatusOK,
		strings.Trim(etag, `"`): http.StatusOK,
	} {
		t.Run(given, func(t *testing.T) {
			response := s.do("GET", location, "", "If-None-Match", given)
			if response.Code != want || (response.Code == http.StatusNotModified) != (response.Body.Len() == 0) {
				t.Errorf("got %d with %d bytes, want %d", response.Code, response.Body.Len(), want)
			}
		})
	}
}

func TestAnInvalidShopIsRefused(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, body := range []struct {
		name, body string
		status     int
		detail     string
		fields     []string
	}{
		{"nothing", "", 400, "unexpected end", nil},
		{"syntax", "{\n  \"name\": oops\n}", 400, "line 2, column 11", nil},
		{"cut off", `{"name": "x"`, 400, "line 1, column 12", nil},
		{"two values", `{"name": "x"} {}`, 400, "line 1, column 15", nil},
		{"an array", `[]`, 400, "must be a JSON object", nil},
		{"null", `null`, 400, "must be a JSON object", nil},
		{"not UTF-8", "{\"name\": \"\xff\"}", 400, "UTF-8", nil},
		{"no name", `{}`, 422, "", []string{"name"}},
		{"blank name", `{"name": " "}`, 422, "", []string{"name"}},
		{"null name", `{"name": null}`, 422, "", []string{"name"}},
		{"long name", `{"name": "` + strings.Repeat("ü", 101) + `"}`, 422, "", []string{"name"}},
		{"control character", `{"name": "a\u0000b"}`, 422, "", []string{"name"}},
		{"name in other case", `{"Name": "x"}`, 422, "", []string{"Name", "name"}},
		{"everything wrong", `{"name": 1, "city": "a\nb", "description": true, "id": "mine", "price": 3}`, 422, "", []string{"city", "description", "id", "name", "price"}},
		{"too large", `{"name": "` + strings.Repeat("x", 1000) + `"}`, 413, "1000 bytes", nil},
	} {
		t.Run(body.name, func(t *testing.T) {
			response := s.do("POST", "/v1/shops", body.body, append(s.as(1), "Content-Type", "application/json; charset=utf-8")...)
			p := s.problem(response)
			if response.Code != body.status || !strings.Contains(p.Detail, body.detail) || !slices.Equal(p.fields(), body.fields) {
				t.Errorf("got %d %q naming %v, want %d %q naming %v", response.Code, p.Detail, p.fields(), body.status, body.detail, body.fields)
			}
		})
	}
	t.Run("and nothing was stored", func(t *testing.T) {
		if got := s.list("/v1/shops").Items; len(got) != 0 {
			t.Errorf("stored: %v", got)
		}
	})
	t.Run("while a name of the maximum length is accepted", func(t *testing.T) {
		s.add(strings.Repeat("ü", 100))
	})
}

func TestOnlyJSONIsAccepted(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, mediaType := range []string{"text/plain", "application/x-www-form-urlencoded", "", "json"} {
		response := s.do("POST", "/v1/shops", `{"name": "x"}`, append(s.as(1), "Content-Type", mediaType)...)
		if s.problem(response); response.Code != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d", mediaType, response.Code)
		}
	}
}
