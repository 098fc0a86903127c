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

// check asks an address once. It is for those who have no curl, such as the image's HEALTHCHECK: there is nothing but
// this program in it. The error says in one line what came instead of a 2xx.
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
	// The address itself is asked: through no proxy, and not where it redirects to.
	client := http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer within %s", address.Redacted(), timeout)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", address.Redacted(), errors.Unwrap(err))
	}
	answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s: answered %s", address.Redacted(), answer.Status)
	}
	return nil
}

// checkArguments takes --timeout before or after the URL.
func checkArguments(args []string) (address *url.URL, timeout time.Duration, err error) {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.DurationVar(&timeout, "timeout", 2*time.Second, "")
	if err := flags.Parse(args); err != nil {
		return nil, 0, fmt.Errorf("%w; %s", err, checkUsage)
	}
	given := flags.Arg(0)
	if err := flags.Parse(flags.Args()[min(1, flags.NArg()):]); err != nil {
		return nil, 0, fmt.Errorf("%w; %s", err, checkUsage)
	}
	address, err = url.Parse(given)
	if err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https") || flags.NArg() > 0 {
		return nil, 0, errors.New(checkUsage)
	}
	if timeout <= 0 {
		return nil, 0, fmt.Errorf("--timeout %s is not more than 0; %s", timeout, checkUsage)
	}
	return address, timeout, nil
}
