package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"slipway/app/internal/api"
	"slipway/app/internal/config"
	"slipway/app/internal/store"
)

func TestPagesListEachShopOnceNewestFirst(t *testing.T) {
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

func TestThePreviousPageLeadsBackToTheSameShops(t *testing.T) {
	s := newService(t, &store.Memory{})
	for number := range 7 {
		s.add(fmt.Sprint(number))
	}
	var forward []page
	for next := "/v1/shops?limit=3&query="; next != ""; next = forward[len(forward)-1].Next {
		forward = append(forward, s.list(next))
	}
	if len(forward) != 3 || forward[0].Prev != "" {
		t.Fatalf("pages %v", forward)
	}
	on := forward[2]
	for _, want := range []page{forward[1], forward[0]} {
		if on = s.list(on.Prev); !slices.Equal(on.Items, want.Items) || on.Next != want.Next {
			t.Errorf("got %+v, want %+v", on, want)
		}
	}
	if on.Prev != "" {
		t.Errorf("the first page has a previous one, %s", on.Prev)
	}
	s.add("newer")
	if on = s.list(forward[1].Prev); len(on.Items) != 3 || on.Prev == "" {
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

func TestThePageSizeIsThatOfTheConfigInForce(t *testing.T) {
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

func TestAnInvalidQueryIsRefused(t *testing.T) {
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
	t.Run("while a cursor of the previous key is accepted", func(t *testing.T) {
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
			response := query.to.do("GET", "/v1/shops?"+query.query, "")
			if got := s.problem(response).fields(); response.Code != http.StatusBadRequest || !slices.Equal(got, query.fields) {
				t.Errorf("got %d naming %v, want 400 naming %v", response.Code, got, query.fields)
			}
		})
	}
}
