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

// browser behaves like a visitor's browser: it keeps cookies, follows redirects and submits the forms of pages.
type browser struct {
	t      *testing.T
	client *http.Client
	site   *url.URL
	given  []*http.Cookie // every cookie that a response has set
}

func (s *testSite) browser() *browser {
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
	response, err := c.next.RoundTrip(r)
	if err == nil {
		c.browser.given = append(c.browser.given, response.Cookies()...)
	}
	return response, err
}

// htmlPage is a parsed page in a browser.
type htmlPage struct {
	t      *testing.T
	status int
	header http.Header
	path   string // with query
	source string
	root   *html.Node
}

func (b *browser) do(request *http.Request) htmlPage {
	b.t.Helper()
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(string(content)))
	if err != nil {
		b.t.Fatal(err)
	}
	return htmlPage{b.t, response.StatusCode, response.Header, response.Request.URL.RequestURI(), string(content), root}
}

// request returns a request with a form. headers alternate name and value.
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

func (b *browser) get(path string, headers ...string) htmlPage {
	b.t.Helper()
	return b.do(b.request("GET", path, nil, headers...))
}

func (b *browser) post(path string, values url.Values, headers ...string) htmlPage {
	b.t.Helper()
	return b.do(b.request("POST", path, values, headers...))
}

// submit fills in the form with this action and sends it. fill alternates name and value.
func (b *browser) submit(on htmlPage, action string, fill ...string) htmlPage {
	b.t.Helper()
	for _, form := range on.all("form") {
		if attribute(form, "action") == action {
			return b.post(action, filled(b.t, form, fill))
		}
	}
	b.t.Fatalf("there is no form with the action %s on %s:\n%s", action, on.path, on.source)
	return htmlPage{}
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

// addShop adds a shop and returns its path.
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

// setCookie sets a cookie. With "" it deletes the cookie, as if it had expired.
func (b *browser) setCookie(name, value string) {
	cookie := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true}
	if value == "" {
		cookie.MaxAge = -1
	}
	b.client.Jar.SetCookies(b.site, []*http.Cookie{cookie})
}

func (p htmlPage) all(tag string) []*html.Node { return within(p.root, tag) }

// within returns the elements with this tag below root.
func within(root *html.Node, tag string) (elements []*html.Node) {
	for node := range root.Descendants() {
		if node.Type == html.ElementNode && node.Data == tag {
			elements = append(elements, node)
		}
	}
	return elements
}

func attribute(node *html.Node, name string) string {
	for _, attr := range node.Attr {
		if attr.Key == name {
			return attr.Val
		}
	}
	return ""
}

// text returns the text of a node, with each run of white space as one space.
func text(node *html.Node) string {
	var words strings.Builder
	for child := range node.Descendants() {
		if child.Type == html.TextNode {
			words.WriteString(child.Data)
		}
	}
	return strings.Join(strings.Fields(words.String()), " ")
}

func (p htmlPage) byID(id string) *html.Node {
	for node := range p.root.Descendants() {
		if attribute(node, "id") == id {
			return node
		}
	}
	p.t.Fatalf("nothing on %s has the id %s:\n%s", p.path, id, p.source)
	return nil
}

// want checks the status, and that the page contains all these texts.
func (p htmlPage) want(status int, texts ...string) {
	p.t.Helper()
	if p.status != status {
		p.t.Errorf("%s: %d, want %d", p.path, p.status, status)
	}
	visible := text(p.root)
	for _, want := range texts {
		if !strings.Contains(visible, want) {
			p.t.Errorf("%q is not on %s:\n%s", want, p.path, visible)
		}
	}
}

// wrong returns the error of a field, and checks that its input refers to it.
func (p htmlPage) wrong(field string) string {
	p.t.Helper()
	input := p.byID(field)
	if attribute(input, "aria-invalid") != "true" || !strings.Contains(attribute(input, "aria-describedby"), field+"-wrong") {
		p.t.Errorf("%s is not marked: %v", field, input.Attr)
	}
	return text(p.byID(field + "-wrong"))
}
