package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"slipway/app/internal/logging"
	"slipway/app/internal/tracing"
)

const (
	readTimeout = 2 * time.Second
	// writeTimeout is longer: who is not told that it was done does it again, and logins wait for their turn.
	writeTimeout  = 5 * time.Second
	repeatAfter   = 500 * time.Millisecond
	largestAnswer = 4 << 20
)

// client asks the API. It repeats, once, only what has an idempotency key, and follows no redirect.
type client struct {
	url  string
	http http.Client
}

func newClient(url string) *client {
	return &client{strings.TrimSuffix(url, "/"), http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: tracing.Transport(&http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 64,
			MaxConnsPerHost:     256,
			// Shorter than the API's HTTP_IDLE_TIMEOUT: no request is sent on a connection that is being closed.
			IdleConnTimeout: 30 * time.Second,
		}),
	}}
}

// errAway says that the API did not answer, or not with what it promises.
var errAway = errors.New("the API does not answer")

// problem is an error the API told of (RFC 9457), or one of this site that is told in the same way.
type problem struct {
	Status     int          `json:"status"`
	Detail     string       `json:"detail"`
	Errors     []fieldError `json:"errors"`
	RetryAfter string       `json:"-"` // seconds, or ""
}

type fieldError struct{ Field, Detail string }

func (p *problem) Error() string { return fmt.Sprintf("%d: %s", p.Status, p.Detail) }

// is tells whether err is a problem with this status.
func is(err error, status int) bool {
	var p *problem
	return errors.As(err, &p) && p.Status == status
}

// call is one request to the API; body and answer may be nil.
type call struct {
	method, path string
	token        string // "": none
	key          string // Idempotency-Key; "": none
	body, answer any
}

// newKey is for a call that adds something: with it the API adds that once, however often it is asked.
func newKey() string { return rand.Text() }

// do returns a *problem the API told of, or errAway.
func (c *client) do(ctx context.Context, who visitor, wanted call) error {
	timeout := writeTimeout
	if wanted.method == http.MethodGet {
		timeout = readTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := c.ask(ctx, who, wanted)
	if wanted.key == "" || !mayHelpToRepeat(err) {
		return err
	}
	select {
	case <-ctx.Done():
		return err
	case <-time.After(repeatAfter):
		return c.ask(ctx, who, wanted)
	}
}

// mayHelpToRepeat is true if nobody knows whether it was done, or if the first try is still running.
func mayHelpToRepeat(err error) bool {
	var p *problem
	if errors.As(err, &p) {
		return p.Status == http.StatusServiceUnavailable || p.Status == http.StatusConflict && p.RetryAfter != ""
	}
	return errors.Is(err, errAway)
}

func (c *client) ask(ctx context.Context, who visitor, wanted call) error {
	request, err := c.request(ctx, who, wanted)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errAway, withoutURL(err))
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, largestAnswer))
	if err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	return decodeAnswer(answer, content, wanted.answer)
}

func (c *client) request(ctx context.Context, who visitor, wanted call) (*http.Request, error) {
	var body bytes.Buffer
	if wanted.body != nil {
		if err := json.NewEncoder(&body).Encode(wanted.body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, wanted.method, c.url+wanted.path, &body)
	if err != nil {
		return nil, err
	}
	if wanted.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if wanted.token != "" {
		request.Header.Set("Authorization", "Bearer "+wanted.token)
	}
	if wanted.key != "" {
		request.Header.Set("Idempotency-Key", wanted.key)
	}
	if who.address.IsValid() {
		request.Header.Set("X-Forwarded-For", who.address.String())
	}
	request.Header.Set("X-Request-Id", logging.RequestID(ctx))
	return request, nil
}

// withoutURL is for the log: a query is what somebody searched for.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

func decodeAnswer(answer *http.Response, content []byte, into any) error {
	if answer.StatusCode/100 != 2 {
		p := &problem{}
		json.Unmarshal(content, p) // a proxy on the way answers in its own words
		p.Status, p.RetryAfter = answer.StatusCode, answer.Header.Get("Retry-After")
		return p
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	return nil
}
