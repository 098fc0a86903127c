package api

import (
	"math"
	"net/http"
	"runtime"
	"runtime/debug"
)

// getVersion returns the version and its limits. They come from GOMAXPROCS and GOMEMLIMIT, which the deployment sets to
// the limits of the container.
func (a *api) getVersion(w http.ResponseWriter, _ *http.Request) error {
	var memoryLimit *int64 // null without a limit
	if bytes := debug.SetMemoryLimit(-1); bytes != math.MaxInt64 {
		memoryLimit = &bytes
	}
	return writeJSON(w, http.StatusOK, struct {
		Version     string `json:"version"`
		GoVersion   string `json:"goVersion"`
		GoMaxProcs  int    `json:"goMaxProcs"`
		GoMemLimit  *int64 `json:"goMemLimitBytes"`
		Environment string `json:"environment"`
	}{a.Version, runtime.Version(), runtime.GOMAXPROCS(0), memoryLimit, a.Environment})
}
