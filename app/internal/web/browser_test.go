package web_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser is somebody who clicks: with cookies, following redirects, sending the forms it was given.
type browser struct {
	t      *testing.T
	client *http.Client
	site   *url.URL
	given  []*http.Cookie // all that was ever set
}

func (s *surroundings) browser() *browser {
	s.t.Helper()
	jar, _ := cookiejar.New(nil)
	site, err := url.Parse(s.web.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	b := &browser{t: s.t, site: site}
	b.client = &http.Client{Jar: jar, Transport: recordCookies{b, s.web.Client().Transport}}
	return b
}

type recordCookies struct {
	browser *browser
	next    http.RoundTripper
}

func (c recordCookies) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := c.next.RoundTrip(r)
	if err == nil {
		c.browser.given = append(c.browser.given, answer.Cookies()...)
	}
	return answer, err
}

// seen is a page in a browser.
type seen struct {
	t      *testing.T
	status int
	header http.Header
	path   string // with query
	source string
	root   *html.Node
}

func (b *browser) do(request *http.Request) seen {
	b.t.Helper()
	answer, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(string(content)))
	if err != nil {
		b.t.Fatal(err)
	}
	return seen{b.t, answer.StatusCode, answer.Header, answer.Request.URL.RequestURI(), string(content), root}
}

// request has headers as name and value in turn.
func (b *browser) request(method, path string, values url.Values, headers ...string) *http.Request {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.site.String()+path, strings.NewReader(values.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == "POST" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	return request
}

func (b *browser) get(path string, headers ...string) seen {
	b.t.Helper()
	return b.do(b.request("GET", path, nil, headers...))
}

func (b *browser) post(path string, values url.Values, headers ...string) seen {
	b.t.Helper()
	return b.do(b.request("POST", path, values, headers...))
}

// submit fills in the form with this action and sends it: name and value in turn.
func (b *browser) submit(on seen, action string, fill ...string) seen {
	b.t.Helper()
	for _, form := range on.all("form") {
		if attribute(form, "action") == action {
			return b.post(action, filled(b.t, form, fill))
		}
	}
	b.t.Fatalf("no form leads to %s on %s:\n%s", action, on.path, on.source)
	return seen{}
}

func filled(t *testing.T, form *html.Node, fill []string) url.Values {
	t.Helper()
	values, names := url.Values{}, map[string]bool{}
	for _, control := range append(within(form, "input"), within(form, "textarea")...) {
		name := attribute(control, "name")
		names[name] = true
		switch {
		case control.Data == "textarea":
			values.Set(name, text(control))
		case attribute(control, "type") != "radio":
			values.Set(name, attribute(control, "value"))
		}
	}
	for pair := range slices.Chunk(fill, 2) {
		if !names[pair[0]] {
			t.Fatalf("the form has no %s", pair[0])
		}
		values.Set(pair[0], pair[1])
	}
	return values
}

const password = "correct horse"

// signIn signs up and logs in.
func (b *browser) signIn(name string) {
	b.t.Helper()
	email := name + "@example.org"
	login := b.submit(b.get("/signup"), "/signup", "name", name, "email", email, "password", password)
	b.submit(login, "/login", "email", email, "password", password)
	if !b.hasCookie("__Host-access") || !b.hasCookie("__Host-refresh") {
		b.t.Fatal("not logged in")
	}
}

// addShop returns its path.
func (b *browser) addShop(name string) string {
	b.t.Helper()
	added := b.submit(b.get("/shops/new"), "/shops", "name", name)
	if added.status != http.StatusOK || !strings.HasPrefix(added.path, "/shops/") {
		b.t.Fatalf("%d at %s:\n%s", added.status, added.path, added.source)
	}
	return added.path
}

func (b *browser) hasCookie(name string) bool { return b.cookie(name) != "" }

func (b *browser) cookie(name string) string {
	for _, cookie := range b.client.Jar.Cookies(b.site) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// setCookie with "" is what happens when its time is over.
func (b *browser) setCookie(name, value string) {
	cookie := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true}
	if value == "" {
		cookie.MaxAge = -1
	}
	b.client.Jar.SetCookies(b.site, []*http.Cookie{cookie})
}

func (s seen) all(tag string) []*html.Node { return within(s.root, tag) }

func within(root *html.Node, tag string) (found []*html.Node) {
	for node := range root.Descendants() {
		if node.Type == html.ElementNode && node.Data == tag {
			found = append(found, node)
		}
	}
	return found
}

func attribute(node *html.Node, name string) string {
	for _, each := range node.Attr {
		if each.Key == name {
			return each.Val
		}
	}
	return ""
}

// text is what is read, with each run of white space as one space.
func text(node *html.Node) string {
	var words strings.Builder
	for each := range node.Descendants() {
		if each.Type == html.TextNode {
			words.WriteString(each.Data)
		}
	}
	return strings.Join(strings.Fields(words.String()), " ")
}

func (s seen) byID(id string) *html.Node {
	for node := range s.root.Descendants() {
		if attribute(node, "id") == id {
			return node
		}
	}
	s.t.Fatalf("nothing on %s has the id %s:\n%s", s.path, id, s.source)
	return nil
}

// want checks the status, and that all these words are read on the page.
func (s seen) want(status int, words ...string) {
	s.t.Helper()
	if s.status != status {
		s.t.Errorf("%s: %d, want %d", s.path, s.status, status)
	}
	read := text(s.root)
	for _, each := range words {
		if !strings.Contains(read, each) {
			s.t.Errorf("%q is not on %s:\n%s", each, s.path, read)
		}
	}
}

// wrong is what is said about a field, as its input refers to it.
func (s seen) wrong(field string) string {
	s.t.Helper()
	input := s.byID(field)
	if attribute(input, "aria-invalid") != "true" || !strings.Contains(attribute(input, "aria-describedby"), field+"-wrong") {
		s.t.Errorf("%s is not marked: %v", field, input.Attr)
	}
	return text(s.byID(field + "-wrong"))
}
