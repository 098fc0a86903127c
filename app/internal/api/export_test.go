package api

import "slipway/app/internal/store"

// RoutesForTest lists all routes as "GET /path".
func RoutesForTest() (routes []string) {
	for _, route := range (&api{Options: Options{Store: &store.Memory{}}}).routes() {
		routes = append(routes, route.method+" "+route.path)
	}
	return routes
}
