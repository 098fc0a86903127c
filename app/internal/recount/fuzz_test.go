package recount

import "testing"

func FuzzAMessageIsAChangeOrInvalid(f *testing.F) {
	const id = "0192f0c4-7b1e-7abc-8def-012345678901"
	f.Add(id, id)
	f.Add("", id)
	f.Add("<nil>", "x")
	f.Fuzz(func(t *testing.T, shop, review string) {
		change, err := decode(map[string]any{"shop": shop, "review": review})
		if err == nil && (change.Shop.String() != shop || change.Review.String() != review) {
			t.Errorf("%q, %q were decoded as %v", shop, review, change)
		}
	})
}
