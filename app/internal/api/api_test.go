package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"slipway/app/internal/api"
	"slipway/app/internal/auth"
	"slipway/app/internal/config"
	"slipway/app/internal/httpserver"
	"slipway/app/internal/limit"
	"slipway/app/internal/logging"
	"slipway/app/internal/metrics"
	"slipway/app/internal/store"
)

// service is an API with its surroundings in the test's hands.
type service struct {
	http.Handler
	t       *testing.T
	file    config.File
	log     bytes.Buffer
	metrics *metrics.Metrics
	store   store.Store
	tokens  *auth.AccessTokens
}

var signingKey = config.NewSecret("a key of this test, long enough")

func newService(t *testing.T, kept store.Store) *service {
	s := &service{t: t, file: config.File{PageSize: config.PageSize{Default: 2, Max: 5}}, metrics: metrics.New("test"), store: kept}
	s.tokens = auth.NewAccessTokens(signingKey)
	s.Handler = api.New(s.options())
	return s
}

func (s *service) options() api.Options {
	return api.Options{
		Options: httpserver.Options{
			Draining:     func() bool { return false },
			MaxBodyBytes: 1000,
			Tracing:      noop.NewTracerProvider(),
			Logger:       logging.New(&s.log, "json", slog.LevelInfo),
			Metrics:      s.metrics,
		},
		Store:       s.store,
		Announce:    s.store.Recount,
		Limiter:     limit.New(nil, s.metrics),
		SigningKeys: []config.Secret{signingKey},
		File:        func() config.File { return s.file },
		Version:     "src-1234",
		Environment: "test",
	}
}

// as is the header of a request by the user of this number.
func (s *service) as(number byte) []string {
	s.t.Helper()
	email := fmt.Sprint(number, "@example.org")
	user, err := s.store.UserByEmail(s.t.Context(), email)
	if errors.Is(err, store.ErrNotFound) {
		user, err = s.store.AddUser(s.t.Context(), store.UserDraft{Email: email, Name: fmt.Sprint("user ", number)})
	}
	token, issueErr := s.tokens.Issue(auth.Identity{User: user.ID, Session: store.ID{6: 0x70, 8: 0x80}})
	if err := errors.Join(err, issueErr); err != nil {
		s.t.Fatal(err)
	}
	return []string{"Authorization", "Bearer " + token}
}

func (s *service) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, request)
	return answer
}

func (s *service) add(name string) (location string) {
	s.t.Helper()
	answer := s.do("POST", "/v1/shops", fmt.Sprintf(`{"name": %q}`, name), s.as(1)...)
	if answer.Code != http.StatusCreated {
		s.t.Fatalf("POST: %d %s", answer.Code, answer.Body)
	}
	return answer.Header().Get("Location")
}

type problem struct {
	Type, Title, Detail, RequestID string
	Status                         int
	Errors                         []struct{ Field, Detail string }
}

// problem reads an answer as RFC 9457 wants it.
func (s *service) problem(answer *httptest.ResponseRecorder) (p problem) {
	s.t.Helper()
	if got := answer.Header().Get("Content-Type"); got != "application/problem+json" {
		s.t.Errorf("Content-Type is %q", got)
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil {
		s.t.Fatalf("%v in %s", err, answer.Body)
	}
	if p.Status != answer.Code || p.Title != http.StatusText(answer.Code) || p.RequestID != answer.Header().Get("X-Request-Id") || p.RequestID == "" {
		s.t.Errorf("the body does not say what the answer says: %+v in a %d", p, answer.Code)
	}
	s.checkType(p)
	return p
}

// checkType fails unless the type of the problem leads to what explains it.
func (s *service) checkType(p problem) {
	s.t.Helper()
	var explained struct {
		Type, Description string
		Status            int
	}
	answer := s.do("GET", p.Type, "")
	if err := json.Unmarshal(answer.Body.Bytes(), &explained); err != nil || explained.Type != p.Type || explained.Status != p.Status || explained.Description == "" {
		s.t.Errorf("%q of a %d leads to %d %s", p.Type, p.Status, answer.Code, answer.Body)
	}
}

func TestProblemsOfOneStatusAreToldApartByTheirType(t *testing.T) {
	s := newService(t, &store.Memory{})
	given := s.signUpAndIn()
	shop := s.add("x")
	s.review(shop, 1, 5)
	s.want(http.StatusNoContent, "DELETE", "/v1/sessions", "", given.header()...)
	for _, request := range []struct {
		method, target, body, token, name string
	}{
		{"POST", "/v1/users", adasSignUp, "", "email-taken"},
		{"POST", shop + "/reviews", `{"stars": 1}`, s.as(1)[1], "already-reviewed"},
		{"POST", "/v1/sessions", `{"email": "ada@example.org", "password": "wrong"}`, "", "login-wrong"},
		{"POST", "/v1/sessions/refresh", `{"refreshToken": "` + given.RefreshToken + `"}`, "", "session-ended"},
		{"POST", "/v1/shops", `{"name": "x"}`, "", "access-token-missing"},
		{"POST", "/v1/shops", `{"name": "x"}`, "Bearer x", "access-token-invalid"},
		{"POST", "/v1/shops", `{`, s.as(1)[1], "malformed-body"},
		{"GET", "/v1/shops?limit=0", "", "", "invalid-query"},
	} {
		p := s.problem(s.do(request.method, request.target, request.body, "Authorization", request.token))
		if want := "/v1/problems/" + request.name; p.Type != want {
			t.Errorf("%s %s: %s, want %s", request.method, request.target, p.Type, want)
		}
	}
	s.want(http.StatusNotFound, "GET", "/v1/problems/nothing", "")
}

func (p problem) fields() (fields []string) {
	for _, each := range p.Errors {
		fields = append(fields, each.Field)
	}
	return fields
}

func TestAnAddedShopIsWhereLocationPoints(t *testing.T) {
	s := newService(t, &store.Memory{})
	posted := s.do("POST", "/v1/shops", `{"name": "<a> & b", "city": "Köln", "description": "größer\nbesser"}`, s.as(1)...)
	if posted.Code != http.StatusCreated {
		t.Fatalf("%d %s", posted.Code, posted.Body)
	}
	got := s.do("GET", posted.Header().Get("Location"), "", s.as(1)...)
	if !strings.Contains(posted.Body.String(), `"<a> & b"`) {
		t.Errorf("escaped for HTML: %s", posted.Body)
	}
	if got.Code != http.StatusOK || got.Body.String() != posted.Body.String() {
		t.Errorf("got %d %s, posted %s", got.Code, got.Body, posted.Body)
	}
	if want := `"name":"<a> & b","city":"Köln","description":"größer\nbesser","rating":{"average":null,"reviews":0,"likes":0},"mine":true}`; !strings.HasSuffix(got.Body.String(), want+"\n") {
		t.Errorf("shop is %s", got.Body)
	}
}

func TestAShopABrowserHasIsNotSentAgain(t *testing.T) {
	s := newService(t, &store.Memory{})
	location := s.add("kept")
	etag := s.do("GET", location, "").Header().Get("ETag")
	for given, want := range map[string]int{
		etag:                    http.StatusNotModified,
		"W/" + etag:             http.StatusNotModified,
		`"other", ` + etag:      http.StatusNotModified,
		"*":                     http.StatusNotModified,
		`"other"`:               http.StatusOK,
		strings.Trim(etag, `"`): http.StatusOK,
	} {
		t.Run(given, func(t *testing.T) {
			answer := s.do("GET", location, "", "If-None-Match", given)
			if answer.Code != want || (answer.Code == http.StatusNotModified) != (answer.Body.Len() == 0) {
				t.Errorf("got %d with %d bytes, want %d", answer.Code, answer.Body.Len(), want)
			}
		})
	}
}

type page struct {
	Items []struct{ Name string }
	Next  string
	Prev  string
}

func (s *service) list(target string) (p page) {
	s.t.Helper()
	answer := s.do("GET", target, "")
	if err := json.Unmarshal(answer.Body.Bytes(), &p); answer.Code != http.StatusOK || err != nil {
		s.t.Fatalf("GET %s: %d %s", target, answer.Code, answer.Body)
	}
	var links []string
	if p.Next != "" {
		links = append(links, "<"+p.Next+`>; rel="next"`)
	}
	if p.Prev != "" {
		links = append(links, "<"+p.Prev+`>; rel="prev"`)
	}
	if got := answer.Header().Values("Link"); !slices.Equal(got, links) {
		s.t.Errorf("Link is %q, want %q", got, links)
	}
	return p
}

func TestPagesHaveEachShopOnceNewestFirst(t *testing.T) {
	s := newService(t, &store.Memory{})
	var want []string
	for number := range 7 {
		name := fmt.Sprint(number)
		s.add(name)
		want = append([]string{name}, want...)
	}
	var got, sizes []string
	for next := "/v1/shops?limit=3"; next != ""; {
		current := s.list(next)
		for _, item := range current.Items {
			got = append(got, item.Name)
		}
		sizes = append(sizes, fmt.Sprint(len(current.Items)))
		next = current.Next
		s.add("added between pages")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if want := []string{"3", "3", "1"}; !slices.Equal(sizes, want) {
		t.Errorf("pages of %v, want %v", sizes, want)
	}
}

func TestThePreviousPageIsTheOneAPageWasReachedFrom(t *testing.T) {
	s := newService(t, &store.Memory{})
	for number := range 7 {
		s.add(fmt.Sprint(number))
	}
	var forth []page
	for next := "/v1/shops?limit=3&query="; next != ""; next = forth[len(forth)-1].Next {
		forth = append(forth, s.list(next))
	}
	if len(forth) != 3 || forth[0].Prev != "" {
		t.Fatalf("pages %v", forth)
	}
	on := forth[2]
	for _, want := range []page{forth[1], forth[0]} {
		if on = s.list(on.Prev); !slices.Equal(on.Items, want.Items) || on.Next != want.Next {
			t.Errorf("got %+v, want %+v", on, want)
		}
	}
	if on.Prev != "" {
		t.Errorf("the first page has a previous one, %s", on.Prev)
	}
	s.add("newer")
	if on = s.list(forth[1].Prev); len(on.Items) != 3 || on.Prev == "" {
		t.Errorf("with a newer shop it is %+v", on)
	}
	if on = s.list(on.Prev); len(on.Items) != 1 || on.Items[0].Name != "newer" || on.Prev != "" || on.Next == "" {
		t.Errorf("the newer shop is on %+v", on)
	}
}

func TestAnEmptyListIsAnEmptyArray(t *testing.T) {
	if got := newService(t, &store.Memory{}).do("GET", "/v1/shops", "").Body.String(); got != `{"items":[]}`+"\n" {
		t.Errorf("got %s", got)
	}
}

func TestThePageSizeFollowsTheConfigInForce(t *testing.T) {
	s := newService(t, &store.Memory{})
	for range 10 {
		s.add("x")
	}
	check := func(target string, want int) {
		t.Helper()
		if got := len(s.list(target).Items); got != want {
			t.Errorf("%s has %d items, want %d", target, got, want)
		}
	}
	check("/v1/shops", 2)
	check("/v1/shops?limit=99", 5)
	s.file.PageSize = config.PageSize{Default: 3, Max: 8}
	check("/v1/shops", 3)
	check("/v1/shops?limit=99", 8)
}

func TestAQueryThatMakesNoSenseIsRefused(t *testing.T) {
	s := newService(t, &store.Memory{})
	for range 3 {
		s.add("x")
	}
	_, cursor, _ := strings.Cut(s.list("/v1/shops?limit=1").Next, "cursor=")
	cursor, _, _ = strings.Cut(cursor, "&")
	flipped := []byte(cursor)
	flipped[3] ^= 1
	other := newService(t, &store.Memory{})
	options := other.options()
	options.SigningKeys = []config.Secret{config.NewSecret("another key")}
	other.Handler = api.New(options)
	rotated := newService(t, &store.Memory{})
	options.SigningKeys = append(options.SigningKeys, signingKey)
	rotated.Handler = api.New(options)
	t.Run("while a cursor of the previous key is taken", func(t *testing.T) {
		rotated.list("/v1/shops?cursor=" + cursor)
	})

	for _, query := range []struct {
		name, query string
		to          *service
		fields      []string
	}{
		{"no number", "limit=ten", s, []string{"limit"}},
		{"no item", "limit=0", s, []string{"limit"}},
		{"beyond an integer", "limit=99999999999999999999", s, []string{"limit"}},
		{"empty", "limit=", s, []string{"limit"}},
		{"cursor changed", "cursor=" + string(flipped), s, []string{"cursor"}},
		{"cursor cut", "cursor=" + cursor[:20], s, []string{"cursor"}},
		{"cursor padded", "cursor=" + cursor + "=", s, []string{"cursor"}},
		{"cursor empty", "cursor=", s, []string{"cursor"}},
		{"cursor of another key", "cursor=" + cursor, other, []string{"cursor"}},
		{"both", "limit=-1&cursor=x", s, []string{"limit", "cursor"}},
		{"search too long", "query=" + strings.Repeat("x", 101), s, []string{"query"}},
		{"search not UTF-8", "query=%ff", s, []string{"query"}},
	} {
		t.Run(query.name, func(t *testing.T) {
			answer := query.to.do("GET", "/v1/shops?"+query.query, "")
			if got := s.problem(answer).fields(); answer.Code != http.StatusBadRequest || !slices.Equal(got, query.fields) {
				t.Errorf("got %d naming %v, want 400 naming %v", answer.Code, got, query.fields)
			}
		})
	}
}

func TestABodyThatIsNoShopIsRefused(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, body := range []struct {
		name, body string
		status     int
		detail     string
		fields     []string
	}{
		{"nothing", "", 400, "unexpected end", nil},
		{"syntax", "{\n  \"name\": oops\n}", 400, "line 2, column 11", nil},
		{"cut off", `{"name": "x"`, 400, "line 1, column 12", nil},
		{"two values", `{"name": "x"} {}`, 400, "line 1, column 15", nil},
		{"an array", `[]`, 400, "must be a JSON object", nil},
		{"null", `null`, 400, "must be a JSON object", nil},
		{"not UTF-8", "{\"name\": \"\xff\"}", 400, "UTF-8", nil},
		{"no name", `{}`, 422, "", []string{"name"}},
		{"blank name", `{"name": " "}`, 422, "", []string{"name"}},
		{"null name", `{"name": null}`, 422, "", []string{"name"}},
		{"long name", `{"name": "` + strings.Repeat("ü", 101) + `"}`, 422, "", []string{"name"}},
		{"control character", `{"name": "a\u0000b"}`, 422, "", []string{"name"}},
		{"name in other letters", `{"Name": "x"}`, 422, "", []string{"Name", "name"}},
		{"everything wrong", `{"name": 1, "city": "a\nb", "description": true, "id": "mine", "price": 3}`, 422, "", []string{"city", "description", "id", "name", "price"}},
		{"too large", `{"name": "` + strings.Repeat("x", 1000) + `"}`, 413, "1000 bytes", nil},
	} {
		t.Run(body.name, func(t *testing.T) {
			answer := s.do("POST", "/v1/shops", body.body, append(s.as(1), "Content-Type", "application/json; charset=utf-8")...)
			p := s.problem(answer)
			if answer.Code != body.status || !strings.Contains(p.Detail, body.detail) || !slices.Equal(p.fields(), body.fields) {
				t.Errorf("got %d %q naming %v, want %d %q naming %v", answer.Code, p.Detail, p.fields(), body.status, body.detail, body.fields)
			}
		})
	}
	t.Run("and nothing was stored", func(t *testing.T) {
		if got := s.list("/v1/shops").Items; len(got) != 0 {
			t.Errorf("stored: %v", got)
		}
	})
	t.Run("while the longest name that fits is taken", func(t *testing.T) {
		s.add(strings.Repeat("ü", 100))
	})
}

func TestOnlyJSONIsTaken(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, mediaType := range []string{"text/plain", "application/x-www-form-urlencoded", "", "json"} {
		answer := s.do("POST", "/v1/shops", `{"name": "x"}`, append(s.as(1), "Content-Type", mediaType)...)
		if s.problem(answer); answer.Code != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d", mediaType, answer.Code)
		}
	}
}

func TestWhatIsNotRoutedIsAProblemToo(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, unrouted := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/v1/shops/", 404, ""},
		{"GET", "/v1/shops/not-a-uuid", 404, ""},
		{"GET", "/v1/shops/0192f0c4-7b1e-7abc-8def-012345678901", 404, ""},
		{"GET", "/livez", 404, ""},
		{"GET", "/metrics", 404, ""},
		{"GET", "/config", 404, ""},
		{"DELETE", "/v1/shops", 405, "GET, HEAD, POST"},
		{"GET", "/v1/shops/not-a-uuid/reviews", 404, ""},
		{"GET", "/v1/shops/0192f0c4-7b1e-7abc-8def-012345678901/reviews", 404, ""},
		{"GET", "/v1/users", 405, "POST"},
		{"POST", "/v1/shops/x", 405, "GET, HEAD, PUT, DELETE"},
		{"POST", "/version", 405, "GET, HEAD"},
	} {
		t.Run(unrouted.method+" "+unrouted.path, func(t *testing.T) {
			answer := s.do(unrouted.method, unrouted.path, "")
			s.problem(answer)
			if answer.Code != unrouted.status || answer.Header().Get("Allow") != unrouted.allow {
				t.Errorf("got %d, Allow %q", answer.Code, answer.Header().Get("Allow"))
			}
		})
	}
}

func TestARequestIDIsTakenOnlyIfItIsSane(t *testing.T) {
	s := newService(t, &store.Memory{})
	if got := s.do("GET", "/version", "", "X-Request-Id", "trace-1.a_B").Header().Get("X-Request-Id"); got != "trace-1.a_B" {
		t.Errorf("got %q", got)
	}
	seen := map[string]bool{}
	for _, given := range []string{"", "two words", "line\nbreak", "<script>", strings.Repeat("x", 65)} {
		got := s.do("GET", "/version", "", "X-Request-Id", given).Header().Get("X-Request-Id")
		if got == given || len(got) < 20 || seen[got] {
			t.Errorf("%q gave %q", given, got)
		}
		seen[got] = true
	}
}

// lines are the log so far.
func (s *service) lines() (lines []map[string]any) {
	s.t.Helper()
	for line := range strings.Lines(s.log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			s.t.Fatalf("%v in %s", err, line)
		}
		lines = append(lines, fields)
	}
	return lines
}

func TestEachRequestIsOneLogLineWithoutItsQuery(t *testing.T) {
	s := newService(t, &store.Memory{})
	answer := s.do("GET", "/v1/shops?cursor=canary", "", "X-Request-Id", "abc")
	lines := s.lines()
	if len(lines) != 1 || strings.Contains(s.log.String(), "canary") {
		t.Fatalf("logged:\n%s", s.log.String())
	}
	for field, want := range map[string]any{
		"msg": "request", "method": "GET", "route": "/v1/shops", "path": "/v1/shops", "status": 400.0,
		"bytes": float64(answer.Body.Len()), "requestId": "abc",
	} {
		if lines[0][field] != want {
			t.Errorf("%s is %v, want %v", field, lines[0][field], want)
		}
	}
	if _, isNumber := lines[0]["durationMs"].(float64); !isNumber {
		t.Errorf("durationMs is %v", lines[0]["durationMs"])
	}
}

func (s *service) scrape() string {
	answer := httptest.NewRecorder()
	s.metrics.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.String()
}

func TestRequestsAreCountedByRouteNotByPath(t *testing.T) {
	s := newService(t, &store.Memory{})
	s.do("GET", s.add("x"), "")
	s.do("GET", "/v1/shops/canary", "")
	s.do("GET", "/canary/path", "")
	s.do("CANARY", "/version", "")
	got := s.scrape()
	for _, series := range []string{
		`http_requests_total{code="201",method="POST",route="/v1/shops"} 1`,
		`http_requests_total{code="200",method="GET",route="/v1/shops/{id}"} 1`,
		`http_requests_total{code="404",method="GET",route="/v1/shops/{id}"} 1`,
		`http_requests_total{code="404",method="GET",route="/"} 1`,
		`http_requests_total{code="405",method="other",route="/version"} 1`,
		`http_request_duration_seconds_count{code="200",method="GET",route="/v1/shops/{id}"} 1`,
		`http_requests_in_flight 0`,
	} {
		if !strings.Contains(got, series+"\n") {
			t.Errorf("%s is missing", series)
		}
	}
	if strings.Contains(strings.ToLower(got), "canary") {
		t.Error("a client made up a series")
	}
}

func TestAnswersCarryTheHeadersOfAnAPI(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, path := range []string{"/v1/shops", "/nowhere"} {
		header := s.do("GET", path, "").Header()
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Notice": ""} {
			if got := header.Get(name); got != want {
				t.Errorf("%s of %s is %q", name, path, got)
			}
		}
	}
	s.file.Notice = "back at 5 pm"
	if got := s.do("GET", "/nowhere", "").Header().Get("X-Notice"); got != "back at 5 pm" {
		t.Errorf("X-Notice is %q", got)
	}
}

// broken is a store that does to Shops what the test says.
type broken struct {
	store.Memory
	list func() ([]store.Shop, error)
}

func (b *broken) Shops(context.Context, string, store.Page) ([]store.Shop, error) { return b.list() }

func TestAPanicIsA500ThatTellsTheLogAndNotTheClient(t *testing.T) {
	s := newService(t, &broken{list: func() ([]store.Shop, error) { panic("canary") }})
	answer := s.do("GET", "/v1/shops", "", "X-Request-Id", "abc")
	if s.problem(answer); answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "canary") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	line := s.lines()[0]
	if line["cause"] != "canary" || line["requestId"] != "abc" || !strings.Contains(fmt.Sprint(line["stack"]), "listShops") {
		t.Errorf("logged: %v", line)
	}
	if got := s.scrape(); !strings.Contains(got, "app_panics_total 1\n") || !strings.Contains(got, `code="500"`) {
		t.Error("not counted")
	}
}

// cutOff is a client's connection that breaks the handler in the middle of the answer.
type cutOff struct{ *httptest.ResponseRecorder }

func (cutOff) Write([]byte) (int, error) { panic("in the middle") }

func TestAPanicInTheMiddleOfAnAnswerBreaksTheConnection(t *testing.T) {
	s := newService(t, &store.Memory{})
	defer func() {
		if cause := recover(); cause != http.ErrAbortHandler {
			t.Errorf("the server would see %v", cause)
		}
	}()
	s.ServeHTTP(cutOff{httptest.NewRecorder()}, httptest.NewRequest("GET", "/v1/shops", nil))
}

func TestABrokenStoreIsA500ThatTellsTheLogAndNotTheClient(t *testing.T) {
	s := newService(t, &broken{list: func() ([]store.Shop, error) { return nil, io.ErrClosedPipe }})
	answer := s.do("GET", "/v1/shops", "")
	if s.problem(answer); answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "pipe") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if got := s.lines()[0]["error"]; got != "list shops: io: read/write on closed pipe" {
		t.Errorf("logged: %v", got)
	}
}

func TestAStoreThatCannotBeReachedIsA503ToTryAgain(t *testing.T) {
	s := newService(t, &broken{list: func() ([]store.Shop, error) { return nil, fmt.Errorf("%w: canary", store.ErrUnavailable) }})
	answer := s.do("GET", "/v1/shops", "")
	if s.problem(answer); answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") != "1" || strings.Contains(answer.Body.String(), "canary") {
		t.Errorf("%d %v %s", answer.Code, answer.Header(), answer.Body)
	}
}

func TestAFullStoreIsA507(t *testing.T) {
	s := newService(t, &broken{list: func() ([]store.Shop, error) { return nil, store.ErrFull }})
	answer := s.do("GET", "/v1/shops", "")
	if s.problem(answer); answer.Code != http.StatusInsufficientStorage {
		t.Errorf("got %d", answer.Code)
	}
}

func TestVersionTellsWhatRuns(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	var got map[string]any
	if err := json.Unmarshal(newService(t, &store.Memory{}).do("GET", "/version", "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["version"] != "src-1234" || got["environment"] != "test" || !strings.HasPrefix(fmt.Sprint(got["goVersion"]), "go1.") || got["goMaxProcs"].(float64) < 1 {
		t.Errorf("got %v", got)
	}
	if limit, has := got["goMemLimitBytes"]; !has || limit != nil {
		t.Errorf("goMemLimitBytes is %v where there is none", limit)
	}
}
