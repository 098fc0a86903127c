package web

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strings"
)

//go:embed templates
var templates embed.FS

// page is the data of a template and its layout.
type page struct {
	Name, Title string
	Status      int    // 0 stands for 200
	Message     string // about the previous action
	Form        form
	Content     any

	SignedIn     bool
	Notice, Back string
	Path         string
}

var pages = parse("shops", "shop", "leaders", "form", "edit", "account", "problem")

func parse(names ...string) map[string]*template.Template {
	shared := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"style": func() string { return style.path },
		"icon":  func() string { return icon.path },
		"stars": func(count int) []int { return []int{1, 2, 3, 4, 5}[:count] },
		"score": scoreOf,
		"count": count,
		"login": func(back string) string { return loginPath(back, "") },
	}).ParseFS(templates, "templates/layout.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	for _, name := range names {
		all[name] = template.Must(template.Must(shared.Clone()).ParseFS(templates, "templates/"+name+".html"))
	}
	return all
}

// show renders the page before it begins the response, so that an error can still become a 500.
func (s *site) show(w http.ResponseWriter, r *http.Request, v visitor, p page) error {
	p.SignedIn, p.Notice, p.Back, p.Path = v.SignedIn(), s.File().Notice, v.back, r.URL.Path
	var content bytes.Buffer
	if err := pages[p.Name].Execute(&content, p); err != nil {
		return fmt.Errorf("render %s: %w", p.Name, err)
	}
	if !p.SignedIn && p.Name != "form" && p.Status == 0 {
		w.Header().Set("Cache-Control", "private, no-cache") // lets browsers go back without a request
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(cmp.Or(p.Status, http.StatusOK))
	w.Write(content.Bytes())
	return nil
}

// score is a number of stars, drawn to the half star, and as text for screen readers.
type score struct {
	Full, Empty, Text string
	Half              bool
}

func scoreOf(stars float64) score {
	halves := int(math.Round(2 * stars))
	text := strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", stars), "0"), ".")
	return score{strings.Repeat("★", halves/2), strings.Repeat("★", (10-halves)/2), text, halves%2 == 1}
}

// count returns text such as "1 review" or "2 reviews".
func count(number int, what string) string {
	if number != 1 {
		what += "s"
	}
	return fmt.Sprint(number, " ", what)
}
