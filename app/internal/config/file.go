package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
)

// File is the part of the configuration that may change while the program runs. It is comparable, so that a change is
// noticed.
type File struct {
	LogLevel Level    `json:"logLevel"`
	PageSize PageSize `json:"pageSize"`
	Notice   string   `json:"notice"`

	RateLimit RateLimit `json:"rateLimit"`
}

// RateLimit limits the requests of a client, per minute unless stated otherwise; 0 means no limit.
type RateLimit struct {
	Requests int `json:"requests"` // of a user, or of an address if not logged in
	Logins   int `json:"logins"`   // of an address: sign-up, login, refresh
	Guesses  int `json:"guesses"`  // of an address, for one account's password, in ten minutes
}

// PageSize is the number of items of a list: Default unless the client asks for another number, and at most Max.
type PageSize struct {
	Default int `json:"default"`
	Max     int `json:"max"`
}

const (
	maxPageSize     = 1000
	maxNoticeLength = 200
	maxRateLimit    = 1_000_000
)

// ReadFile reads CONFIG_FILE. Missing keys keep their defaults; that of logLevel is LOG_LEVEL. The error joins one line
// per mistake; a file with any mistake must not be used.
func (e Env) ReadFile() (File, error) {
	result := File{LogLevel: e.LogLevel, PageSize: PageSize{Default: 20, Max: 100}, RateLimit: RateLimit{Requests: 6000, Logins: 60, Guesses: 10}}
	if e.ConfigFile == "" {
		return result, nil
	}
	err := load(&result, file.Provider(e.ConfigFile), yaml.Parser())
	return result, oneLineEach("CONFIG_FILE "+e.ConfigFile+": ", errors.Join(err, result.check()))
}

func (f File) check() error {
	var mistakes []error
	if f.PageSize.Max < 1 || f.PageSize.Max > maxPageSize {
		mistakes = append(mistakes, fmt.Errorf("pageSize.max: %d is not from 1 to %d", f.PageSize.Max, maxPageSize))
	}
	if f.PageSize.Default < 1 || f.PageSize.Default > f.PageSize.Max {
		mistakes = append(mistakes, fmt.Errorf("pageSize.default: %d is not from 1 to pageSize.max (%d)", f.PageSize.Default, f.PageSize.Max))
	}
	if len(f.Notice) > maxNoticeLength || strings.ContainsFunc(f.Notice, notPrintableASCII) {
		mistakes = append(mistakes, fmt.Errorf("notice: %q is not one line of at most %d printable ASCII characters", f.Notice, maxNoticeLength))
	}
	for _, limit := range []struct {
		name  string
		value int
	}{{"requests", f.RateLimit.Requests}, {"logins", f.RateLimit.Logins}, {"guesses", f.RateLimit.Guesses}} {
		if limit.value < 0 || limit.value > maxRateLimit {
			mistakes = append(mistakes, fmt.Errorf("rateLimit.%s: %d is not from 0 (no limit) to %d", limit.name, limit.value, maxRateLimit))
		}
	}
	return errors.Join(mistakes...)
}

func notPrintableASCII(char rune) bool { return char < ' ' || char > '~' }
