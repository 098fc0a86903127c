package web

import (
	"net/http"
	"net/url"
)

func reviewForm(shop string) form {
	return form{Action: shopPath(shop) + "/reviews", Button: "Send the review", Fields: []field{
		{Name: "stars", Label: "Stars", Type: "stars", Required: true},
		{Name: "text", Label: "Review", Type: "lines", Longest: 1000},
	}}
}

func (s *site) addReview(w http.ResponseWriter, r *http.Request, who visitor) error {
	shop := r.PathValue("id")
	f := reviewForm(shop)
	if err := readForm(r, &f); err != nil {
		return err
	}
	err := s.asUser(w, r, &who, call{method: http.MethodPost, path: "/v1/shops/" + url.PathEscape(shop) + "/reviews", key: newKey(), body: f.body()})
	if f.refuse(err) {
		return s.showShopWith(w, r, who, f)
	}
	if err != nil {
		return err
	}
	return redirect(w, r, shopPath(shop)+"#reviews")
}

// setLike likes with PUT, and takes it back with DELETE.
func (s *site) setLike(method string) handler {
	return func(w http.ResponseWriter, r *http.Request, who visitor) error {
		review := r.PathValue("review")
		if err := s.asUser(w, r, &who, call{method: method, path: "/v1/reviews/" + url.PathEscape(review) + "/like"}); err != nil {
			return err
		}
		same := query("cursor", r.URL.Query().Get("cursor"))
		return redirect(w, r, shopPath(r.PathValue("id"))+same+"#review-"+url.PathEscape(review))
	}
}
