package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const checkUsage = "usage: api check URL [--timeout 2s], with http:// or https://"

// check sends one request, and returns an error of one line unless the response is 2xx. It replaces curl in the
// HEALTHCHECK of the image, which contains nothing but this program.
func check(ctx context.Context, args []string) error {
	address, timeout, err := checkArguments(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return err
	}
	// Check this address itself: use no proxy, and follow no redirect.
	client := http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer within %s", address.Redacted(), timeout)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", address.Redacted(), errors.Unwrap(err))
	}
	response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: responded %s", address.Redacted(), response.Status)
	}
	return nil
}

// checkArguments parses the URL and --timeout, in any order.
func checkArguments(args []string) (address *url.URL, timeout time.Duration, err error) {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.DurationVar(&timeout, "timeout", 2*time.Second, "")
	if err := flags.Parse(args); err != nil {
		return nil, 0, fmt.Errorf("%w; %s", err, checkUsage)
	}
	text := flags.Arg(0)
	if err := flags.Parse(flags.Args()[min(1, flags.NArg()):]); err != nil {
		return nil, 0, fmt.Errorf("%w; %s", err, checkUsage)
	}
	address, err = url.Parse(text)
	if err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https") || flags.NArg() > 0 {
		return nil, 0, errors.New(checkUsage)
	}
	if timeout <= 0 {
		return nil, 0, fmt.Errorf("--timeout %s is not greater than 0; %s", timeout, checkUsage)
	}
	return address, timeout, nil
}
