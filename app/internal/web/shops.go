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
		Average        *float64 // nil without reviews
		Reviews, Likes int
	}
	Mine bool
}

type review struct {
	ID        string
	CreatedAt time.Time
	Author    struct{ ID, Name string }
	Stars     float64 // a whole number
	Text      string
	Likes     int
	Mine      bool
	LikedByMe *bool // nil if not logged in
}

// CanLike reports whether a page offers to like the review. If the likes of the visitor are unknown, it offers both
// actions.
func (r review) CanLike() bool { return r.LikedByMe == nil || !*r.LikedByMe }

// CanUnlike reports whether a page offers to remove the like.
func (r review) CanUnlike() bool { return r.LikedByMe == nil || *r.LikedByMe }

const fewLeaders, allLeaders = "5", "25"

// leaders returns the best shops with a rating. The leaderboard of the API ends with shops that have none.
func (s *site) leaders(ctx context.Context, v visitor, limit string) ([]shop, error) {
	var board list[shop]
	err := s.get(ctx, v, "/v1/leaderboard?limit="+limit, &board)
	return slices.DeleteFunc(board.Items, func(s shop) bool { return s.Rating.Average == nil }), err
}

// get reads from the API. It sends the access token, if there is one, but does not renew it.
func (s *site) get(ctx context.Context, v visitor, path string, response any) error {
	return s.api.do(ctx, v, call{method: http.MethodGet, path: path, token: v.access, response: response})
}

type shopsContent struct {
	Search         string
	Shops, Leaders []shop
	Pages          pageLinks
}

func (s *site) listShops(w http.ResponseWriter, r *http.Request, v visitor) error {
	search, cursor := r.URL.Query().Get("search"), r.URL.Query().Get("cursor")
	var shops list[shop]
	var leaders []shop
	both, ctx := errgroup.WithContext(r.Context())
	both.Go(func() error {
		return s.get(ctx, v, "/v1/shops"+query("query", search, "cursor", cursor), &shops)
	})
	both.Go(func() (err error) {
		leaders, err = s.leaders(ctx, v, fewLeaders)
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
	return s.show(w, r, v, page{Name: "shops", Title: title, Content: content})
}

func (s *site) listLeaders(w http.ResponseWriter, r *http.Request, v visitor) error {
	leaders, err := s.leaders(r.Context(), v, allLeaders)
	if err != nil {
		return err
	}
	return s.show(w, r, v, page{Name: "leaders", Title: "Leader board", Content: leaders})
}

func shopForm() form {
	return form{Action: "/shops", Button: "Add the shop", Fields: []field{
		{Name: "name", Label: "Name", Type: "text", MaxLength: 100, Required: true, Autocomplete: "off"},
		{Name: "city", Label: "City", Type: "text", MaxLength: 100, Autocomplete: "off"},
		{Name: "description", Label: "Description", Hint: "What visitors find there.", Type: "lines", MaxLength: 500},
	}}
}

func (s *site) newShop(w http.ResponseWriter, r *http.Request, v visitor) error {
	return s.show(w, r, v, page{Name: "form", Title: "Add a shop", Form: shopForm()})
}

func (s *site) addShop(w http.ResponseWriter, r *http.Request, v visitor) error {
	f := shopForm()
	if err := readForm(r, &f); err != nil {
		return err
	}
	var added shop
	err := s.callAsUser(w, r, &v, call{method: http.MethodPost, path: "/v1/shops", key: newKey(), body: f.body(), response: &added})
	if f.addErrors(err) {
		return s.show(w, r, v, page{Name: "form", Title: "Add a shop", Status: f.Status, Form: f})
	}
	if err != nil {
		return err
	}
	return redirect(w, r, shopPath(added.ID))
}

func shopPath(id string) string { return "/shops/" + url.PathEscape(id) }

type shopContent struct {
	Shop    shop
	Own     *review // the visitor's, or nil
	Reviews []review
	Query   string // of this page
	Pages   pageLinks
}

func (s *site) showShop(w http.ResponseWriter, r *http.Request, v visitor) error {
	return s.showShopWith(w, r, v, reviewForm(r.PathValue("id")))
}

// showShopWith shows the shop with a form that may have been filled in already.
func (s *site) showShopWith(w http.ResponseWriter, r *http.Request, v visitor, f form) error {
	s.renewForReading(w, r, &v)
	id, cursor := url.PathEscape(r.PathValue("id")), r.URL.Query().Get("cursor")
	var content shopContent
	var reviews list[review]
	all, ctx := errgroup.WithContext(r.Context())
	all.Go(func() error { return s.get(ctx, v, "/v1/shops/"+id, &content.Shop) })
	all.Go(func() error {
		return s.get(ctx, v, "/v1/shops/"+id+"/reviews"+query("cursor", cursor), &reviews)
	})
	all.Go(func() (err error) {
		content.Own, err = s.ownReview(ctx, v, id)
		return err
	})
	if err := all.Wait(); err != nil {
		return err
	}
	content.Reviews, content.Query = reviews.Items, query("cursor", cursor)
	content.Pages = reviews.links(shopPath(content.Shop.ID), cursor)
	return s.show(w, r, v, page{Name: "shop", Title: content.Shop.Name, Status: f.Status, Content: content, Form: f})
}
