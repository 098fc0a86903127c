package api

import (
	"maps"
	"slices"

	"slipway/app/internal/store"
)

// RoutesForTest lists all routes as "GET /path".
func RoutesForTest() []string {
	return slices.Collect(maps.Keys((&api{Options: Options{Store: &store.Memory{}}}).routes()))
}
