package api_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"slipway/app/internal/api"
	"slipway/app/internal/store"
)

// object is a JSON object of the OpenAPI document.
type object map[string]any

type document struct {
	t    *testing.T
	root object
}

func (s *service) document() document {
	s.t.Helper()
	var root object
	if err := json.Unmarshal(s.do("GET", "/v1/openapi.json", "").Body.Bytes(), &root); err != nil {
		s.t.Fatal(err)
	}
	return document{s.t, root}
}

// at returns the object at these keys, or nil. It follows references on the way.
func (d document) at(from any, keys ...string) object {
	part, _ := from.(map[string]any)
	if object, ok := from.(object); ok {
		part = object
	}
	if reference, ok := part["$ref"].(string); ok {
		return d.at(d.root, append(strings.Split(strings.TrimPrefix(reference, "#/"), "/"), keys...)...)
	}
	if len(keys) == 0 {
		return part
	}
	return d.at(part[keys[0]], keys[1:]...)
}

func TestTheDocumentDescribesExactlyTheRoutes(t *testing.T) {
	d := newService(t, &store.Memory{}).document()
	var documented []string
	for path, operations := range d.at(d.root, "paths") {
		for method := range operations.(map[string]any) {
			if method != "parameters" {
				documented = append(documented, strings.ToUpper(method)+" "+path)
			}
		}
	}
	routed := api.RoutesForTest()
	slices.Sort(documented)
	slices.Sort(routed)
	if !slices.Equal(documented, routed) {
		t.Errorf("documented:\n%s\nrouted:\n%s", strings.Join(documented, "\n"), strings.Join(routed, "\n"))
	}
}

func TestEveryReferenceInTheDocumentIsValid(t *testing.T) {
	d := newService(t, &store.Memory{}).document()
	var follow func(any)
	follow = func(part any) {
		switch part := part.(type) {
		case map[string]any:
			if reference, ok := part["$ref"]; ok && len(d.at(part)) == 0 {
				t.Errorf("%v does not exist", reference)
			}
			for _, child := range part {
				follow(child)
			}
		case []any:
			for _, child := range part {
				follow(child)
			}
		}
	}
	follow(map[string]any(d.root))
}

// mistakes returns how a value differs from its schema.
func (d document) mistakes(where string, value any, schema object) (result []string) {
	if constant, ok := schema["const"]; ok && value != constant {
		return []string{fmt.Sprintf("%s is %v", where, value)}
	}
	if allowed := schema["type"]; allowed != nil && !isOf(typeOf(value), fmt.Sprint(allowed)) {
		return []string{fmt.Sprintf("%s is %v, want %v", where, typeOf(value), allowed)}
	}
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			result = append(result, d.mistakes(fmt.Sprintf("%s[%d]", where, i), item, d.at(schema, "items"))...)
		}
	case map[string]any:
		result = d.fieldMistakes(where, value, schema)
	}
	return result
}

func (d document) fieldMistakes(where string, value map[string]any, schema object) (result []string) {
	required, _ := schema["required"].([]any)
	for _, field := range required {
		if _, ok := value[field.(string)]; !ok {
			result = append(result, fmt.Sprintf("%s.%v is missing", where, field))
		}
	}
	for field, content := range value {
		if described := d.at(schema, "properties", field); described != nil {
			result = append(result, d.mistakes(where+"."+field, content, described)...)
		} else if schema["additionalProperties"] == false {
			result = append(result, where+"."+field+" is not described")
		}
	}
	return result
}

// isOf reports whether the type is allowed. An integer is also a number.
func isOf(actual, allowed string) bool {
	return strings.Contains(allowed, actual) || actual == "integer" && strings.Contains(allowed, "number")
}

func typeOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case float64:
		if value == float64(int(value)) {
			return "integer"
		}
		return "number"
	}
	return "object"
}

// check compares a response with its description in the document.
func (d document) check(method, path string, response *httptest.ResponseRecorder) {
	d.t.Helper()
	described := d.at(d.root, "paths", path, strings.ToLower(method), "responses", fmt.Sprint(response.Code))
	if described == nil {
		d.t.Errorf("%s %s: a %d is not described", method, path, response.Code)
		return
	}
	content := d.at(described, "content", response.Header().Get("Content-Type"), "schema")
	if response.Body.Len() == 0 {
		if described["content"] != nil {
			d.t.Errorf("%s %s: the %d has no content", method, path, response.Code)
		}
		return
	}
	var value any
	if err := json.Unmarshal(response.Body.Bytes(), &value); err != nil || content == nil {
		d.t.Errorf("%s %s: %v, %q is described as %v", method, path, err, response.Header().Get("Content-Type"), described)
		return
	}
	for _, mistake := range d.mistakes("", value, content) {
		d.t.Errorf("%s %s: %d: %s", method, path, response.Code, mistake)
	}
}

// session returns the ID of the session of these tokens.
func session(s *service, of tokens) string {
	s.t.Helper()
	identity, err := s.tokens.Check(of.AccessToken)
	if err != nil {
		s.t.Fatal(err)
	}
	return identity.Session.String()
}

func TestEveryResponseMatchesTheDocument(t *testing.T) {
	s := newService(t, &store.Memory{})
	d := s.document()
	covered := map[string]bool{}
	send := func(method, route, target, body string, headers ...string) *httptest.ResponseRecorder {
		response := s.do(method, target, body, headers...)
		d.check(method, route, response)
		if response.Code < 300 {
			covered[method+" "+route] = true
		}
		return response
	}
	id := func(response *httptest.ResponseRecorder) string {
		var added struct{ ID string }
		json.Unmarshal(response.Body.Bytes(), &added)
		return added.ID
	}
	const unknown = "0192f0c4-7b1e-7abc-8def-012345678901"
	send("POST", "/v1/users", "/v1/users", adasSignUp)
	send("POST", "/v1/users", "/v1/users", adasSignUp)
	send("POST", "/v1/users", "/v1/users", `{}`)
	send("POST", "/v1/users", "/v1/users", `{`)
	send("POST", "/v1/users", "/v1/users", `{}`, "Content-Type", "text/plain")
	send("POST", "/v1/users", "/v1/users", `{"name": "`+strings.Repeat("x", 1000)+`"}`)
	send("POST", "/v1/sessions", "/v1/sessions", `{"email": "a@b", "password": "x"}`)
	var given tokens
	json.Unmarshal(send("POST", "/v1/sessions", "/v1/sessions", adasLogin).Body.Bytes(), &given)
	send("POST", "/v1/sessions/refresh", "/v1/sessions/refresh", `{"refreshToken": "`+given.RefreshToken+`"}`)
	send("POST", "/v1/sessions/refresh", "/v1/sessions/refresh", `{"refreshToken": "`+given.RefreshToken+`"}`)
	send("POST", "/v1/shops", "/v1/shops", `{"name": "x"}`)
	shop := id(send("POST", "/v1/shops", "/v1/shops", `{"name": "x"}`, s.as(1)...))
	send("GET", "/v1/shops/{id}", "/v1/shops/"+shop, "")
	send("GET", "/v1/shops/{id}", "/v1/shops/"+shop, "", "If-None-Match", "*")
	send("GET", "/v1/shops/{id}", "/v1/shops/"+unknown, "")
	reviews := "/v1/shops/" + shop + "/reviews"
	first := id(send("POST", "/v1/shops/{id}/reviews", reviews, `{"stars": 5}`, s.as(1)...))
	send("POST", "/v1/shops/{id}/reviews", reviews, `{"stars": 5}`, s.as(1)...)
	send("POST", "/v1/shops/{id}/reviews", reviews, `{"stars": 4}`, s.as(2)...)
	send("GET", "/v1/shops/{id}/reviews", reviews+"?limit=1", "")
	send("GET", "/v1/shops/{id}/reviews", reviews+"?limit=0", "")
	send("GET", "/v1/shops/{id}", "/v1/shops/"+shop, "")
	for _, method := range []string{"PUT", "DELETE"} {
		send(method, "/v1/reviews/{id}/like", "/v1/reviews/"+first+"/like", "", s.as(2)...)
		send(method, "/v1/reviews/{id}/like", "/v1/reviews/"+unknown+"/like", "", s.as(2)...)
		send(method, "/v1/reviews/{id}/like", "/v1/reviews/"+first+"/like", "")
	}
	send("GET", "/v1/shops/{id}/reviews/mine", reviews+"/mine", "", s.as(2)...)
	send("GET", "/v1/shops/{id}/reviews/mine", reviews+"/mine", "", s.as(3)...)
	send("GET", "/v1/shops/{id}/reviews", reviews, "", s.as(2)...)
	for target, route := range map[string]string{"/v1/shops/" + shop: "/v1/shops/{id}", "/v1/reviews/" + first: "/v1/reviews/{id}"} {
		changed := map[string]string{"/v1/shops/{id}": `{"name": "y"}`, "/v1/reviews/{id}": `{"stars": 1}`}[route]
		send("GET", route, target, "", s.as(1)...)
		send("PUT", route, target, changed, s.as(1)...)
		send("PUT", route, target, `{}`, s.as(1)...)
		send("PUT", route, target, changed, s.as(2)...)
		send("PUT", route, target, changed)
		send("DELETE", route, target, "", s.as(2)...)
		send("DELETE", route, target, "")
	}
	send("DELETE", "/v1/shops/{id}", "/v1/shops/"+shop, "", s.as(1)...)
	send("DELETE", "/v1/reviews/{id}", "/v1/reviews/"+first, "", s.as(1)...)
	send("DELETE", "/v1/reviews/{id}", "/v1/reviews/"+first, "", s.as(1)...)
	send("DELETE", "/v1/shops/{id}", "/v1/shops/"+id(send("POST", "/v1/shops", "/v1/shops", `{"name": "x"}`, s.as(1)...)), "", s.as(1)...)
	send("GET", "/v1/shops", "/v1/shops", "")
	send("GET", "/v1/leaderboard", "/v1/leaderboard", "")
	send("GET", "/v1/leaderboard", "/v1/leaderboard?limit=x", "")
	send("GET", "/v1/openapi.json", "/v1/openapi.json", "")
	send("GET", "/version", "/version", "")
	send("GET", "/v1/problems", "/v1/problems", "")
	send("GET", "/v1/problems", "/v1/problems", "", "If-None-Match", "*")
	send("GET", "/v1/problems/{name}", "/v1/problems/not-found", "")
	send("GET", "/v1/problems/{name}", "/v1/problems/nothing", "")
	send("GET", "/v1/sessions", "/v1/sessions", "", "Authorization", "Bearer "+given.AccessToken)
	send("DELETE", "/v1/sessions/others", "/v1/sessions/others", "", "Authorization", "Bearer "+given.AccessToken)
	send("DELETE", "/v1/sessions/{id}", "/v1/sessions/"+session(s, given), "", "Authorization", "Bearer "+given.AccessToken)
	send("DELETE", "/v1/sessions/{id}", "/v1/sessions/"+unknown, "", "Authorization", "Bearer "+given.AccessToken)
	send("DELETE", "/v1/sessions", "/v1/sessions", "", s.as(1)...)
	send("GET", "/v1/users/me", "/v1/users/me", "", given.header()...)
	send("GET", "/v1/users/me", "/v1/users/me", "")
	change := `{"currentPassword": "canary horse battery", "newPassword": "another horse battery"}`
	for range 2 { // the second time the current password is wrong
		send("PUT", "/v1/users/me/password", "/v1/users/me/password", change, given.header()...)
	}
	for _, password := range []string{"canary horse battery", "another horse battery", "another horse battery"} {
		send("POST", "/v1/users/me/deletion", "/v1/users/me/deletion", `{"password": "`+password+`"}`, given.header()...)
	}
	for _, route := range api.RoutesForTest() {
		if !covered[route] {
			t.Errorf("%s was not requested", route)
		}
	}
}
