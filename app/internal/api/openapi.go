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

// openapi serves the document that describes all this.
func (a *api) openapi(w http.ResponseWriter, r *http.Request) error { return writeKept(w, r, openAPI) }

// documentedCodes returns the status codes that the document names for each route, such as "GET /version".
func documentedCodes() map[string][]string {
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openAPI, &document); err != nil {
		panic(err) // it is part of the program, and tested
	}
	codes := map[string][]string{}
	for path, operations := range document.Paths {
		for method, content := range operations {
			var operation struct{ Responses map[string]json.RawMessage }
			if json.Unmarshal(content, &operation) == nil { // `parameters` is no operation
				codes[strings.ToUpper(method)+" "+path] = slices.Collect(maps.Keys(operation.Responses))
			}
		}
	}
	return codes
}
