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
	// writeTimeout is longer, because users repeat what seems to have failed, and logins wait for a slot.
	writeTimeout = 5 * time.Second
	retryDelay   = 500 * time.Millisecond
	maxResponse  = 4 << 20
)

// client calls the API. It repeats a call once if it has an idempotency key, and follows no redirects.
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
			// This is shorter than the API's HTTP_IDLE_TIMEOUT, so that no request is sent on a connection that the API
			// closes.
			IdleConnTimeout: 30 * time.Second,
		}),
	}}
}

// errUnavailable is returned if the API does not respond, or with an invalid body.
var errUnavailable = errors.New("the API does not respond")

// problem is an error response of the API (RFC 9457), or an error of this site in the same form.
type problem struct {
	Status     int          `json:"status"`
	Detail     string       `json:"detail"`
	Errors     []fieldError `json:"errors"`
	RetryAfter string       `json:"-"` // seconds, or ""
}

type fieldError struct{ Field, Detail string }

func (p *problem) Error() string { return fmt.Sprintf("%d: %s", p.Status, p.Detail) }

// hasStatus reports whether err is a problem with this status.
func hasStatus(err error, status int) bool {
	var p *problem
	return errors.As(err, &p) && p.Status == status
}

// call is one request to the API. body and response may be nil.
type call struct {
	method, path   string
	token          string // "": none
	key            string // Idempotency-Key; "": none
	body, response any
}

// newKey returns a random idempotency key, with which the API adds something once even if the call is repeated.
func newKey() string { return rand.Text() }

// do calls the API. It returns a *problem if the API responds with an error, or errUnavailable.
func (c *client) do(ctx context.Context, v visitor, request call) error {
	timeout := writeTimeout
	if request.method == http.MethodGet {
		timeout = readTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := c.send(ctx, v, request)
	if request.key == "" || !retryable(err) {
		return err
	}
	select {
	case <-ctx.Done():
		return err
	case <-time.After(retryDelay):
		return c.send(ctx, v, request)
	}
}

// retryable reports whether it is unknown if the call succeeded, or whether the first try is still running.
func retryable(err error) bool {
	var p *problem
	if errors.As(err, &p) {
		return p.Status == http.StatusServiceUnavailable || p.Status == http.StatusConflict && p.RetryAfter != ""
	}
	return errors.Is(err, errUnavailable)
}

// send sends a call once.
func (c *client) send(ctx context.Context, v visitor, wanted call) error {
	request, err := c.request(ctx, v, wanted)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnavailable, withoutURL(err))
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return decodeResponse(response, content, wanted.response)
}

func (c *client) request(ctx context.Context, v visitor, wanted call) (*http.Request, error) {
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
	if v.address.IsValid() {
		request.Header.Set("X-Forwarded-For", v.address.String())
	}
	request.Header.Set("X-Request-Id", logging.RequestID(ctx))
	return request, nil
}

// withoutURL removes the URL from an error that will be logged: its query is what a user searched for.
func withoutURL(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		return urlErr.Err
	}
	return err
}

// decodeResponse decodes a successful response into a value, or returns the problem.
func decodeResponse(response *http.Response, content []byte, into any) error {
	if response.StatusCode/100 != 2 {
		p := &problem{}
		json.Unmarshal(content, p) // fails for responses of a proxy, which are not JSON
		p.Status, p.RetryAfter = response.StatusCode, response.Header.Get("Retry-After")
		return p
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return nil
}
