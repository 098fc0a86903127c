package web

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"net/http"
	"strings"
)

//go:embed style.css
var styleContent []byte

//go:embed icon.svg
var iconContent []byte

var (
	style = newAsset("style", ".css", "text/css; charset=utf-8", styleContent)
	icon  = newAsset("icon", ".svg", "image/svg+xml", iconContent)
)

// asset is a file that browsers keep for good: its path names its content.
type asset struct {
	name, extension, mediaType, path string
	content                          []byte
}

func newAsset(name, extension, mediaType string, content []byte) asset {
	path := fmt.Sprintf("/static/%s-%.6x%s", name, sha256.Sum256(content), extension)
	return asset{name, extension, mediaType, path, content}
}

// static has an older or newer page, of a replica that is replaced just now, get this replica's file rather than
// none, but not keep it.
func static(w http.ResponseWriter, r *http.Request, _ visitor) error {
	name := r.PathValue("name")
	for _, each := range []asset{style, icon} {
		if !strings.HasPrefix(name, each.name+"-") || !strings.HasSuffix(name, each.extension) {
			continue
		}
		if r.URL.Path == each.path {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			w.Header().Del("Vary")
		}
		w.Header().Set("Content-Type", each.mediaType)
		w.Write(each.content)
		return nil
	}
	return &problem{Status: http.StatusNotFound}
}
