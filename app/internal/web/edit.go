package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// editContent is the part of an edit page below its form.
type editContent struct {
	Heading, Text string
	Deletion      form
}

func (s *site) showEdit(w http.ResponseWriter, r *http.Request, v visitor, title string, f form, content editContent) error {
	status := max(f.Status, content.Deletion.Status)
	return s.show(w, r, v, page{Name: "edit", Title: title, Status: status, Form: f, Content: content})
}

func editShopForm(shop string) form {
	f := shopForm()
	f.Action, f.Button = shopPath(shop)+"/edit", "Save the shop"
	return f
}

func shopDeletion(shop string) editContent {
	return editContent{
		"Delete the shop", "Your review of it is deleted too. A shop that others have reviewed cannot be deleted.",
		form{Action: shopPath(shop) + "/delete", Button: "Delete the shop"},
	}
}

// editShop shows the form for a shop of the visitor. The API checks the owner only when the form is sent.
func (s *site) editShop(w http.ResponseWriter, r *http.Request, v visitor) error {
	return s.editShopWith(w, r, v, shopDeletion(r.PathValue("id")))
}

func (s *site) editShopWith(w http.ResponseWriter, r *http.Request, v visitor, deletion editContent) error {
	id := r.PathValue("id")
	var current shop
	err := s.callAsUser(w, r, &v, call{method: http.MethodGet, path: "/v1/shops/" + url.PathEscape(id), response: &current})
	if err != nil {
		return err
	}
	if !current.Mine {
		return &problem{Status: http.StatusForbidden}
	}
	f := editShopForm(id)
	f.fill(map[string]string{"name": current.Name, "city": current.City, "description": current.Description})
	return s.showEdit(w, r, v, "Edit the shop", f, deletion)
}

func (s *site) updateShop(w http.ResponseWriter, r *http.Request, v visitor) error {
	id := r.PathValue("id")
	f := editShopForm(id)
	if err := readForm(r, &f); err != nil {
		return err
	}
	err := s.callAsUser(w, r, &v, call{method: http.MethodPut, path: "/v1/shops/" + url.PathEscape(id), body: f.body()})
	if f.addErrors(err) {
		return s.showEdit(w, r, v, "Edit the shop", f, shopDeletion(id))
	}
	if err != nil {
		return err
	}
	return redirect(w, r, shopPath(id))
}

func (s *site) deleteShop(w http.ResponseWriter, r *http.Request, v visitor) error {
	id := r.PathValue("id")
	err := s.callAsUser(w, r, &v, call{method: http.MethodDelete, path: "/v1/shops/" + url.PathEscape(id)})
	deletion := shopDeletion(id)
	if deletion.Deletion.addErrors(err) {
		return s.editShopWith(w, r, v, deletion)
	}
	if err != nil {
		return err
	}
	return redirect(w, r, "/")
}

// ownReview returns the visitor's review of a shop, or nil if there is none or the visitor is not logged in.
func (s *site) ownReview(ctx context.Context, v visitor, shop string) (*review, error) {
	if v.access == "" {
		return nil, nil
	}
	var own review
	err := s.get(ctx, v, "/v1/shops/"+shop+"/reviews/mine", &own)
	if hasStatus(err, http.StatusNotFound) || hasStatus(err, http.StatusUnauthorized) {
		return nil, nil
	}
	return &own, err
}

func reviewPath(shop, review string) string {
	return shopPath(shop) + "/reviews/" + url.PathEscape(review)
}

func editReviewForm(r *http.Request) form {
	f := reviewForm(r.PathValue("id"))
	f.Action, f.Button = reviewPath(r.PathValue("id"), r.PathValue("review"))+"/edit", "Save the review"
	return f
}

func reviewDeletion(r *http.Request) editContent {
	return editContent{
		"Delete the review", "Its likes are deleted too.",
		form{Action: reviewPath(r.PathValue("id"), r.PathValue("review")) + "/delete", Button: "Delete the review"},
	}
}

func (s *site) editReview(w http.ResponseWriter, r *http.Request, v visitor) error {
	var current review
	err := s.callAsUser(w, r, &v, call{method: http.MethodGet, path: "/v1/reviews/" + url.PathEscape(r.PathValue("review")), response: &current})
	if err != nil {
		return err
	}
	if !current.Mine {
		return &problem{Status: http.StatusForbidden}
	}
	f := editReviewForm(r)
	f.fill(map[string]string{"stars": fmt.Sprint(current.Stars), "text": current.Text})
	return s.showEdit(w, r, v, "Edit your review", f, reviewDeletion(r))
}

func (s *site) updateReview(w http.ResponseWriter, r *http.Request, v visitor) error {
	f := editReviewForm(r)
	if err := readForm(r, &f); err != nil {
		return err
	}
	err := s.callAsUser(w, r, &v, call{method: http.MethodPut, path: "/v1/reviews/" + url.PathEscape(r.PathValue("review")), body: f.body()})
	if f.addErrors(err) {
		return s.showEdit(w, r, v, "Edit your review", f, reviewDeletion(r))
	}
	if err != nil {
		return err
	}
	return redirect(w, r, shopPath(r.PathValue("id"))+"#yours")
}

func (s *site) deleteReview(w http.ResponseWriter, r *http.Request, v visitor) error {
	err := s.callAsUser(w, r, &v, call{method: http.MethodDelete, path: "/v1/reviews/" + url.PathEscape(r.PathValue("review"))})
	if err != nil {
		return err
	}
	return redirect(w, r, shopPath(r.PathValue("id"))+"#reviews")
}
