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

// page is what a template shows, within the layout.
type page struct {
	Name, Title string
	Status      int    // 0 is 200
	Said        string // about what happened before
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
		"stars": func(most int) []int { return []int{1, 2, 3, 4, 5}[:most] },
		"score": scoreOf,
		"count": count,
		"login": func(back string) string { return toLogin(back, "") },
	}).ParseFS(templates, "templates/layout.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	for _, name := range names {
		all[name] = template.Must(template.Must(shared.Clone()).ParseFS(templates, "templates/"+name+".html"))
	}
	return all
}

// show renders before it answers, so that an error can still become a 500.
func (s *site) show(w http.ResponseWriter, r *http.Request, who visitor, p page) error {
	p.SignedIn, p.Notice, p.Back, p.Path = who.SignedIn(), s.File().Notice, who.back, r.URL.Path
	var content bytes.Buffer
	if err := pages[p.Name].Execute(&content, p); err != nil {
		return fmt.Errorf("render %s: %w", p.Name, err)
	}
	if !p.SignedIn && p.Name != "form" && p.Status == 0 {
		w.Header().Set("Cache-Control", "private, no-cache") // lets a browser go back without asking
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(cmp.Or(p.Status, http.StatusOK))
	w.Write(content.Bytes())
	return nil
}

// score is a number of stars, as it is drawn, to the half star, and as it is read out.
type score struct {
	Full, Empty, Words string
	Half               bool
}

func scoreOf(stars float64) score {
	halves := int(math.Round(2 * stars))
	words := strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", stars), "0"), ".")
	return score{strings.Repeat("★", halves/2), strings.Repeat("★", (10-halves)/2), words, halves%2 == 1}
}

// count is "1 review", "2 reviews".
func count(number int, what string) string {
	if number != 1 {
		what += "s"
	}
	return fmt.Sprint(number, " ", what)
}
