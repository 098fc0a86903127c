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

// asset is a file that browsers cache forever, because its path contains a hash of its content.
type asset struct {
	name, extension, mediaType, path string
	content                          []byte
}

func newAsset(name, extension, mediaType string, content []byte) asset {
	path := fmt.Sprintf("/static/%s-%.6x%s", name, sha256.Sum256(content), extension)
	return asset{name, extension, mediaType, path, content}
}

// static serves the assets. During a rollout, a page of another version may request a file with another hash. It gets the
// file of this version, which the browser must not cache, rather than a 404.
func static(w http.ResponseWriter, r *http.Request, _ visitor) error {
	name := r.PathValue("name")
	for _, file := range []asset{style, icon} {
		if !strings.HasPrefix(name, file.name+"-") || !strings.HasSuffix(name, file.extension) {
			continue
		}
		if r.URL.Path == file.path {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			w.Header().Del("Vary")
		}
		w.Header().Set("Content-Type", file.mediaType)
		w.Write(file.content)
		return nil
	}
	return &problem{Status: http.StatusNotFound}
}
