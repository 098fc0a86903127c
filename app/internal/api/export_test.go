package api

import (
	"maps"
	"slices"

	"slipway/app/internal/store"
)

// RoutesForTest returns all routes, such as "GET /version".
func RoutesForTest() []string {
	return slices.Collect(maps.Keys((&api{Options: Options{Store: &store.Memory{}}}).routes()))
}
