package web

import (
	"net/http"
	"net/url"
)

func reviewForm(shop string) form {
	return form{Action: shopPath(shop) + "/reviews", Button: "Send the review", Fields: []field{
		{Name: "stars", Label: "Stars", Type: "stars", Required: true},
		{Name: "text", Label: "Review", Type: "lines", MaxLength: 1000},
	}}
}

func (s *site) addReview(w http.ResponseWriter, r *http.Request, v visitor) error {
	shop := r.PathValue("id")
	f := reviewForm(shop)
	if err := readForm(r, &f); err != nil {
		return err
	}
	err := s.callAsUser(w, r, &v, call{method: http.MethodPost, path: "/v1/shops/" + url.PathEscape(shop) + "/reviews", key: newKey(), body: f.body()})
	if f.addErrors(err) {
		return s.showShopWith(w, r, v, f)
	}
	if err != nil {
		return err
	}
	return redirect(w, r, shopPath(shop)+"#reviews")
}

// setLike returns a handler that adds a like (PUT) or removes it (DELETE).
func (s *site) setLike(method string) handler {
	return func(w http.ResponseWriter, r *http.Request, v visitor) error {
		review := r.PathValue("review")
		if err := s.callAsUser(w, r, &v, call{method: method, path: "/v1/reviews/" + url.PathEscape(review) + "/like"}); err != nil {
			return err
		}
		samePage := query("cursor", r.URL.Query().Get("cursor"))
		return redirect(w, r, shopPath(r.PathValue("id"))+samePage+"#review-"+url.PathEscape(review))
	}
}
