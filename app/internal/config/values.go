package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"slipway/app/internal/forwarded"
)

// Level is the minimum level of log lines.
type Level string

var levels = map[Level]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

func (l *Level) UnmarshalText(text []byte) error {
	if _, known := levels[Level(text)]; !known {
		return fmt.Errorf("%q is not a log level: use debug, info, warn or error", text)
	}
	*l = Level(text)
	return nil
}

// Slog returns the level as a slog.Level.
func (l Level) Slog() slog.Level { return levels[l] }

// Format is the format of log lines: json or text.
type Format string

func (f *Format) UnmarshalText(text []byte) error {
	if value := string(text); value != "json" && value != "text" {
		return fmt.Errorf("%q is not a log format: use json or text", text)
	}
	*f = Format(text)
	return nil
}

// Port is a TCP port; 0 lets the system choose.
type Port uint16

func (p *Port) UnmarshalText(text []byte) error {
	number, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil {
		return fmt.Errorf("%q is not a port: use a number from 0 to 65535", text)
	}
	*p = Port(number)
	return nil
}

// URL is the address of a web service, without credentials.
type URL string

func (u *URL) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	parsed, err := url.Parse(string(text))
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.User != nil {
		// The value is not shown, because it may contain a password.
		return errors.New("it is not a URL such as http://name:80, without a user")
	}
	*u = URL(text)
	return nil
}

// Proxies names the proxies in front of this service, as forwarded.Parse reads them. It is a string, so that Env is
// comparable.
type Proxies string

func (p *Proxies) UnmarshalText(text []byte) error {
	*p = Proxies(text)
	_, err := forwarded.Parse(string(text))
	return err
}

// Forwarded returns the parsed value. It was validated while it was decoded.
func (p Proxies) Forwarded() forwarded.Proxies {
	proxies, _ := forwarded.Parse(string(p))
	return proxies
}

// Count is a number from 0 to 255.
type Count int

func (c *Count) UnmarshalText(text []byte) error {
	number, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil {
		return fmt.Errorf("%q is not a number from 0 to 255", text)
	}
	*c = Count(number)
	return nil
}

// Ratio is a share from 0 to 1.
type Ratio float64

func (r *Ratio) UnmarshalText(text []byte) error {
	number, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(number >= 0 && number <= 1) {
		return fmt.Errorf("%q is not a share: use a number from 0 to 1, for example 0.1", text)
	}
	*r = Ratio(number)
	return nil
}

// Bytes is a size of at least one byte.
type Bytes int64

func (b *Bytes) UnmarshalText(text []byte) error {
	number, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || number < 1 {
		return fmt.Errorf("%q is not a size: use a number of bytes, for example 1048576", text)
	}
	*b = Bytes(number)
	return nil
}

// Duration is a non-negative time span in Go's notation ("1m30s").
type Duration time.Duration

func (d *Duration) UnmarshalText(text []byte) error {
	span, err := time.ParseDuration(string(text))
	if err != nil || span < 0 {
		return fmt.Errorf("%q is not a duration: use a number with a unit, for example 5s or 1m30s", text)
	}
	*d = Duration(span)
	return nil
}

func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string { return time.Duration(d).String() }
