package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
)

// File is the part of the configuration that may change while the program runs. It is comparable on purpose.
type File struct {
	LogLevel Level    `json:"logLevel"`
	PageSize PageSize `json:"pageSize"`
	Notice   string   `json:"notice"`

	RateLimit RateLimit `json:"rateLimit"`
}

// RateLimit is how often a client may ask, per minute where nothing else is said; 0 is no limit.
type RateLimit struct {
	Requests int `json:"requests"` // of a user, or of an address without one
	Logins   int `json:"logins"`   // of an address: sign-up, login, refresh
	Guesses  int `json:"guesses"`  // of an address, for one account's password, in ten minutes
}

// PageSize is how many items a list answers with: Default when the client does not say, Max at most.
type PageSize struct {
	Default int `json:"default"`
	Max     int `json:"max"`
}

const (
	largestPage   = 1000
	longestNotice = 200
	highestLimit  = 1_000_000
)

// ReadFile reads CONFIG_FILE; keys it does not have keep their default, logLevel that of LOG_LEVEL.
// The error joins one line per mistake and is never about a part of the file: take all of it or nothing.
func (e Env) ReadFile() (File, error) {
	result := File{LogLevel: e.LogLevel, PageSize: PageSize{Default: 20, Max: 100}, RateLimit: RateLimit{Requests: 6000, Logins: 60, Guesses: 10}}
	if e.ConfigFile == "" {
		return result, nil
	}
	err := load(&result, file.Provider(e.ConfigFile), yaml.Parser())
	return result, inWords("CONFIG_FILE "+e.ConfigFile+": ", errors.Join(err, result.check()))
}

func (f File) check() error {
	var mistakes []error
	if f.PageSize.Max < 1 || f.PageSize.Max > largestPage {
		mistakes = append(mistakes, fmt.Errorf("pageSize.max: %d is not from 1 to %d", f.PageSize.Max, largestPage))
	}
	if f.PageSize.Default < 1 || f.PageSize.Default > f.PageSize.Max {
		mistakes = append(mistakes, fmt.Errorf("pageSize.default: %d is not from 1 to pageSize.max (%d)", f.PageSize.Default, f.PageSize.Max))
	}
	if len(f.Notice) > longestNotice || strings.ContainsFunc(f.Notice, unfitForHeader) {
		mistakes = append(mistakes, fmt.Errorf("notice: %q is not one line of at most %d printable ASCII characters", f.Notice, longestNotice))
	}
	for _, limit := range []struct {
		name  string
		value int
	}{{"requests", f.RateLimit.Requests}, {"logins", f.RateLimit.Logins}, {"guesses", f.RateLimit.Guesses}} {
		if limit.value < 0 || limit.value > highestLimit {
			mistakes = append(mistakes, fmt.Errorf("rateLimit.%s: %d is not from 0 (no limit) to %d", limit.name, limit.value, highestLimit))
		}
	}
	return errors.Join(mistakes...)
}

func unfitForHeader(char rune) bool { return char < ' ' || char > '~' }
