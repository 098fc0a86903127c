package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

type shop struct {
	ID, Name, City, Description string
	Rating                      struct {
		Average        *float64 // nil: no review yet
		Reviews, Likes int
	}
	Mine bool
}

type review struct {
	ID        string
	CreatedAt time.Time
	Author    struct{ ID, Name string }
	Stars     float64 // whole ones
	Text      string
	Likes     int
	Mine      bool
	LikedByMe *bool // nil: not known
}

// CanLike tells whether a page offers to like the review. If it is not known what the visitor likes, it offers both.
func (r review) CanLike() bool { return r.LikedByMe == nil || !*r.LikedByMe }

// CanUnlike tells whether a page offers to take back a like.
func (r review) CanUnlike() bool { return r.LikedByMe == nil || *r.LikedByMe }

const fewLeaders, allLeaders = "5", "25"

// leaders are shops with a rating; the API's board ends with those that have none.
func (s *site) leaders(ctx context.Context, who visitor, most string) ([]shop, error) {
	var found list[shop]
	err := s.get(ctx, who, "/v1/leaderboard?limit="+most, &found)
	return slices.DeleteFunc(found.Items, func(each shop) bool { return each.Rating.Average == nil }), err
}

func (s *site) get(ctx context.Context, who visitor, path string, answer any) error {
	return s.api.do(ctx, who, call{method: http.MethodGet, path: path, token: who.access, answer: answer})
}

type shopsContent struct {
	Search         string
	Shops, Leaders []shop
	Pages          pageLinks
}

func (s *site) listShops(w http.ResponseWriter, r *http.Request, who visitor) error {
	search, cursor := r.URL.Query().Get("search"), r.URL.Query().Get("cursor")
	var shops list[shop]
	var leaders []shop
	both, ctx := errgroup.WithContext(r.Context())
	both.Go(func() error {
		return s.get(ctx, who, "/v1/shops"+query("query", search, "cursor", cursor), &shops)
	})
	both.Go(func() (err error) {
		leaders, err = s.leaders(ctx, who, fewLeaders)
		return err
	})
	if err := both.Wait(); err != nil {
		return err
	}
	content := shopsContent{search, shops.Items, leaders, shops.links("/", cursor, "search", search)}
	title := "Shops"
	if search != "" {
		title = "Shops with “" + search + "”"
	}
	return s.show(w, r, who, page{Name: "shops", Title: title, Content: content})
}

func (s *site) listLeaders(w http.ResponseWriter, r *http.Request, who visitor) error {
	found, err := s.leaders(r.Context(), who, allLeaders)
	if err != nil {
		return err
	}
	return s.show(w, r, who, page{Name: "leaders", Title: "Leader board", Content: found})
}

func shopForm() form {
	return form{Action: "/shops", Button: "Add the shop", Fields: []field{
		{Name: "name", Label: "Name", Type: "text", Longest: 100, Required: true, Autocomplete: "off"},
		{Name: "city", Label: "City", Type: "text", Longest: 100, Autocomplete: "off"},
		{Name: "description", Label: "Description", Hint: "What one finds there.", Type: "lines", Longest: 500},
	}}
}

func (s *site) newShop(w http.ResponseWriter, r *http.Request, who visitor) error {
	return s.show(w, r, who, page{Name: "form", Title: "Add a shop", Form: shopForm()})
}

func (s *site) addShop(w http.ResponseWriter, r *http.Request, who visitor) error {
	f := shopForm()
	if err := readForm(r, &f); err != nil {
		return err
	}
	var added shop
	err := s.asUser(w, r, &who, call{method: http.MethodPost, path: "/v1/shops", key: newKey(), body: f.body(), answer: &added})
	if f.refuse(err) {
		return s.show(w, r, who, page{Name: "form", Title: "Add a shop", Status: f.Status, Form: f})
	}
	if err != nil {
		return err
	}
	return redirect(w, r, shopPath(added.ID))
}

func shopPath(id string) string { return "/shops/" + url.PathEscape(id) }

type shopContent struct {
	Shop    shop
	Own     *review // the visitor's; nil: none, or not known
	Reviews []review
	Same    string // query of this page
	Pages   pageLinks
}

func (s *site) showShop(w http.ResponseWriter, r *http.Request, who visitor) error {
	return s.showShopWith(w, r, who, reviewForm(r.PathValue("id")))
}

// showShopWith shows the shop with a form that may have been filled in already.
func (s *site) showShopWith(w http.ResponseWriter, r *http.Request, who visitor, f form) error {
	s.renewForReading(w, r, &who)
	id, cursor := url.PathEscape(r.PathValue("id")), r.URL.Query().Get("cursor")
	var content shopContent
	var reviews list[review]
	all, ctx := errgroup.WithContext(r.Context())
	all.Go(func() error { return s.get(ctx, who, "/v1/shops/"+id, &content.Shop) })
	all.Go(func() error {
		return s.get(ctx, who, "/v1/shops/"+id+"/reviews"+query("cursor", cursor), &reviews)
	})
	all.Go(func() (err error) {
		content.Own, err = s.ownReview(ctx, who, id)
		return err
	})
	if err := all.Wait(); err != nil {
		return err
	}
	content.Reviews, content.Same = reviews.Items, query("cursor", cursor)
	content.Pages = reviews.links(shopPath(content.Shop.ID), cursor)
	return s.show(w, r, who, page{Name: "shop", Title: content.Shop.Name, Status: f.Status, Content: content, Form: f})
}
