package api

import (
	_ "embed"
	"encoding/json"
	"net/http"
)

//go:embed openapi.json
var openAPI json.RawMessage

// openapi serves the document that describes all this.
func (a *api) openapi(w http.ResponseWriter, r *http.Request) error { return writeKept(w, r, openAPI) }
