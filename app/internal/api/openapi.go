package api

import (
	_ "embed"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

//go:embed openapi.json
var openAPI json.RawMessage

// getOpenAPI serves the OpenAPI document of this API.
func (a *api) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	return writeCacheable(w, r, openAPI)
}

// documentedCodes returns the documented status codes of each route, such as "GET /version".
func documentedCodes() map[string][]string {
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openAPI, &document); err != nil {
		panic(err) // never: the document is part of the program, and tested
	}
	codes := map[string][]string{}
	for path, operations := range document.Paths {
		for method, content := range operations {
			var operation struct{ Responses map[string]json.RawMessage }
			if json.Unmarshal(content, &operation) == nil { // `parameters` is not an operation
				codes[strings.ToUpper(method)+" "+path] = slices.Collect(maps.Keys(operation.Responses))
			}
		}
	}
	return codes
}
