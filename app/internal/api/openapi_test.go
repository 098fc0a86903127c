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

// object is a part of the document.
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

// at follows keys, and references on the way; nil where there is nothing.
func (d document) at(from any, keys ...string) object {
	part, _ := from.(map[string]any)
	if already, is := from.(object); is {
		part = already
	}
	if reference, is := part["$ref"].(string); is {
		return d.at(d.root, append(strings.Split(strings.TrimPrefix(reference, "#/"), "/"), keys...)...)
	}
	if len(keys) == 0 {
		return part
	}
	return d.at(part[keys[0]], keys[1:]...)
}

func TestTheDocumentHasEveryRouteAndNoOther(t *testing.T) {
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

func TestEveryReferenceOfTheDocumentLeadsSomewhere(t *testing.T) {
	d := newService(t, &store.Memory{}).document()
	var follow func(any)
	follow = func(part any) {
		switch part := part.(type) {
		case map[string]any:
			if reference, is := part["$ref"]; is && len(d.at(part)) == 0 {
				t.Errorf("%v leads nowhere", reference)
			}
			for _, each := range part {
				follow(each)
			}
		case []any:
			for _, each := range part {
				follow(each)
			}
		}
	}
	follow(map[string]any(d.root))
}

// mistakes says where a value is not what its schema says.
func (d document) mistakes(where string, value any, schema object) (found []string) {
	if constant, is := schema["const"]; is && value != constant {
		return []string{fmt.Sprintf("%s is %v", where, value)}
	}
	if allowed := schema["type"]; allowed != nil && !isOf(typeOf(value), fmt.Sprint(allowed)) {
		return []string{fmt.Sprintf("%s is %v, want %v", where, typeOf(value), allowed)}
	}
	switch value := value.(type) {
	case []any:
		for at, each := range value {
			found = append(found, d.mistakes(fmt.Sprintf("%s[%d]", where, at), each, d.at(schema, "items"))...)
		}
	case map[string]any:
		found = d.mistakesOfFields(where, value, schema)
	}
	return found
}

func (d document) mistakesOfFields(where string, value map[string]any, schema object) (found []string) {
	required, _ := schema["required"].([]any)
	for _, field := range required {
		if _, has := value[field.(string)]; !has {
			found = append(found, fmt.Sprintf("%s.%v is missing", where, field))
		}
	}
	for field, each := range value {
		if described := d.at(schema, "properties", field); described != nil {
			found = append(found, d.mistakes(where+"."+field, each, described)...)
		} else if schema["additionalProperties"] == false {
			found = append(found, where+"."+field+" is not described")
		}
	}
	return found
}

// isOf takes a whole number for a number too.
func isOf(found, allowed string) bool {
	return strings.Contains(allowed, found) || found == "integer" && strings.Contains(allowed, "number")
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

// check compares an answer with what the document says of it.
func (d document) check(method, path string, answer *httptest.ResponseRecorder) {
	d.t.Helper()
	described := d.at(d.root, "paths", path, strings.ToLower(method), "responses", fmt.Sprint(answer.Code))
	if described == nil {
		d.t.Errorf("%s %s: a %d is not described", method, path, answer.Code)
		return
	}
	content := d.at(described, "content", answer.Header().Get("Content-Type"), "schema")
	if answer.Body.Len() == 0 {
		if described["content"] != nil {
			d.t.Errorf("%s %s: the %d has no content", method, path, answer.Code)
		}
		return
	}
	var value any
	if err := json.Unmarshal(answer.Body.Bytes(), &value); err != nil || content == nil {
		d.t.Errorf("%s %s: %v, %q is described as %v", method, path, err, answer.Header().Get("Content-Type"), described)
		return
	}
	for _, mistake := range d.mistakes("", value, content) {
		d.t.Errorf("%s %s: %d: %s", method, path, answer.Code, mistake)
	}
}

// session returns the id of the session of these tokens.
func session(s *service, of tokens) string {
	s.t.Helper()
	who, err := s.tokens.Check(of.AccessToken)
	if err != nil {
		s.t.Fatal(err)
	}
	return who.Session.String()
}

func TestEveryAnswerIsAsTheDocumentSays(t *testing.T) {
	s := newService(t, &store.Memory{})
	d := s.document()
	covered := map[string]bool{}
	ask := func(method, route, target, body string, headers ...string) *httptest.ResponseRecorder {
		answer := s.do(method, target, body, headers...)
		d.check(method, route, answer)
		if answer.Code < 300 {
			covered[method+" "+route] = true
		}
		return answer
	}
	id := func(answer *httptest.ResponseRecorder) string {
		var found struct{ ID string }
		json.Unmarshal(answer.Body.Bytes(), &found)
		return found.ID
	}
	const unknown = "0192f0c4-7b1e-7abc-8def-012345678901"
	ask("POST", "/v1/users", "/v1/users", adasSignUp)
	ask("POST", "/v1/users", "/v1/users", adasSignUp)
	ask("POST", "/v1/users", "/v1/users", `{}`)
	ask("POST", "/v1/users", "/v1/users", `{`)
	ask("POST", "/v1/users", "/v1/users", `{}`, "Content-Type", "text/plain")
	ask("POST", "/v1/users", "/v1/users", `{"name": "`+strings.Repeat("x", 1000)+`"}`)
	ask("POST", "/v1/sessions", "/v1/sessions", `{"email": "a@b", "password": "x"}`)
	var given tokens
	json.Unmarshal(ask("POST", "/v1/sessions", "/v1/sessions", adasLogin).Body.Bytes(), &given)
	ask("POST", "/v1/sessions/refresh", "/v1/sessions/refresh", `{"refreshToken": "`+given.RefreshToken+`"}`)
	ask("POST", "/v1/sessions/refresh", "/v1/sessions/refresh", `{"refreshToken": "`+given.RefreshToken+`"}`)
	ask("POST", "/v1/shops", "/v1/shops", `{"name": "x"}`)
	shop := id(ask("POST", "/v1/shops", "/v1/shops", `{"name": "x"}`, s.as(1)...))
	ask("GET", "/v1/shops/{id}", "/v1/shops/"+shop, "")
	ask("GET", "/v1/shops/{id}", "/v1/shops/"+shop, "", "If-None-Match", "*")
	ask("GET", "/v1/shops/{id}", "/v1/shops/"+unknown, "")
	reviews := "/v1/shops/" + shop + "/reviews"
	first := id(ask("POST", "/v1/shops/{id}/reviews", reviews, `{"stars": 5}`, s.as(1)...))
	ask("POST", "/v1/shops/{id}/reviews", reviews, `{"stars": 5}`, s.as(1)...)
	ask("POST", "/v1/shops/{id}/reviews", reviews, `{"stars": 4}`, s.as(2)...)
	ask("GET", "/v1/shops/{id}/reviews", reviews+"?limit=1", "")
	ask("GET", "/v1/shops/{id}/reviews", reviews+"?limit=0", "")
	ask("GET", "/v1/shops/{id}", "/v1/shops/"+shop, "")
	for _, method := range []string{"PUT", "DELETE"} {
		ask(method, "/v1/reviews/{id}/like", "/v1/reviews/"+first+"/like", "", s.as(2)...)
		ask(method, "/v1/reviews/{id}/like", "/v1/reviews/"+unknown+"/like", "", s.as(2)...)
		ask(method, "/v1/reviews/{id}/like", "/v1/reviews/"+first+"/like", "")
	}
	ask("GET", "/v1/shops/{id}/reviews/mine", reviews+"/mine", "", s.as(2)...)
	ask("GET", "/v1/shops/{id}/reviews/mine", reviews+"/mine", "", s.as(3)...)
	ask("GET", "/v1/shops/{id}/reviews", reviews, "", s.as(2)...)
	for target, route := range map[string]string{"/v1/shops/" + shop: "/v1/shops/{id}", "/v1/reviews/" + first: "/v1/reviews/{id}"} {
		changed := map[string]string{"/v1/shops/{id}": `{"name": "y"}`, "/v1/reviews/{id}": `{"stars": 1}`}[route]
		ask("GET", route, target, "", s.as(1)...)
		ask("PUT", route, target, changed, s.as(1)...)
		ask("PUT", route, target, `{}`, s.as(1)...)
		ask("PUT", route, target, changed, s.as(2)...)
		ask("PUT", route, target, changed)
		ask("DELETE", route, target, "", s.as(2)...)
		ask("DELETE", route, target, "")
	}
	ask("DELETE", "/v1/shops/{id}", "/v1/shops/"+shop, "", s.as(1)...)
	ask("DELETE", "/v1/reviews/{id}", "/v1/reviews/"+first, "", s.as(1)...)
	ask("DELETE", "/v1/reviews/{id}", "/v1/reviews/"+first, "", s.as(1)...)
	ask("DELETE", "/v1/shops/{id}", "/v1/shops/"+id(ask("POST", "/v1/shops", "/v1/shops", `{"name": "x"}`, s.as(1)...)), "", s.as(1)...)
	ask("GET", "/v1/shops", "/v1/shops", "")
	ask("GET", "/v1/leaderboard", "/v1/leaderboard", "")
	ask("GET", "/v1/leaderboard", "/v1/leaderboard?limit=x", "")
	ask("GET", "/v1/openapi.json", "/v1/openapi.json", "")
	ask("GET", "/version", "/version", "")
	ask("GET", "/v1/problems", "/v1/problems", "")
	ask("GET", "/v1/problems", "/v1/problems", "", "If-None-Match", "*")
	ask("GET", "/v1/problems/{name}", "/v1/problems/not-found", "")
	ask("GET", "/v1/problems/{name}", "/v1/problems/nothing", "")
	ask("GET", "/v1/sessions", "/v1/sessions", "", "Authorization", "Bearer "+given.AccessToken)
	ask("DELETE", "/v1/sessions/others", "/v1/sessions/others", "", "Authorization", "Bearer "+given.AccessToken)
	ask("DELETE", "/v1/sessions/{id}", "/v1/sessions/"+session(s, given), "", "Authorization", "Bearer "+given.AccessToken)
	ask("DELETE", "/v1/sessions/{id}", "/v1/sessions/"+unknown, "", "Authorization", "Bearer "+given.AccessToken)
	ask("DELETE", "/v1/sessions", "/v1/sessions", "", s.as(1)...)
	ask("GET", "/v1/users/me", "/v1/users/me", "", given.header()...)
	ask("GET", "/v1/users/me", "/v1/users/me", "")
	change := `{"currentPassword": "canary horse battery", "newPassword": "another horse battery"}`
	for range 2 { // the second time it is another password
		ask("PUT", "/v1/users/me/password", "/v1/users/me/password", change, given.header()...)
	}
	for _, password := range []string{"canary horse battery", "another horse battery", "another horse battery"} {
		ask("POST", "/v1/users/me/deletion", "/v1/users/me/deletion", `{"password": "`+password+`"}`, given.header()...)
	}
	for _, route := range api.RoutesForTest() {
		if !covered[route] {
			t.Errorf("%s was not tried", route)
		}
	}
}
