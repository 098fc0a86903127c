package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// list returns a list of Redis, the oldest entry first.
func list(t *testing.T, server *miniredis.Miniredis, name string) []string {
	t.Helper()
	if !server.Exists(name) {
		return nil
	}
	entries, err := server.List(name)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries)
	return entries
}

func TestJobsAreDoneInTheirOrder(t *testing.T) {
	server := miniredis.RunT(t)
	_, _ = server.Lpush(waiting, "a")
	_, _ = server.Lpush(waiting, "b")
	ctx, stop := context.WithCancel(t.Context())
	err := run(ctx, "redis://"+server.Addr(), func(job string) string {
		if job == "b" {
			stop()
		}
		return strings.ToUpper(job)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, server, done); !slices.Equal(got, []string{"A", "B"}) {
		t.Errorf("results: %v", got)
	}
	if got := list(t, server, running); got != nil {
		t.Errorf("still running: %v", got)
	}
}

func TestJobAtHandIsFinishedAndNoOtherIsTakenWhenTheWorkerEnds(t *testing.T) {
	server := miniredis.RunT(t)
	_, _ = server.Lpush(waiting, "first")
	_, _ = server.Lpush(waiting, "second")
	ctx, stop := context.WithCancel(t.Context())
	err := run(ctx, "redis://"+server.Addr(), func(job string) string {
		stop() // SIGTERM comes during the first job
		time.Sleep(50 * time.Millisecond)
		return job
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, server, done); !slices.Equal(got, []string{"first"}) {
		t.Errorf("results: %v", got)
	}
	if got := list(t, server, waiting); !slices.Equal(got, []string{"second"}) {
		t.Errorf("waiting: %v", got)
	}
}

func TestWorkerOutlivesARestartOfRedis(t *testing.T) {
	server := miniredis.RunT(t)
	_, _ = server.Lpush(waiting, "job")
	server.SetError("LOADING Redis is loading the dataset in memory")
	time.AfterFunc(200*time.Millisecond, func() { server.SetError("") })
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	if err := run(ctx, "redis://"+server.Addr(), func(job string) string { stop(); return job }); err != nil {
		t.Fatal(err)
	}
	if got := list(t, server, done); !slices.Equal(got, []string{"job"}) {
		t.Errorf("results: %v", got)
	}
}

func TestAnInvalidURLIsNamedWithoutThePassword(t *testing.T) {
	err := run(t.Context(), "redis//:hunter2@nowhere", uppercase)
	if err == nil || !strings.Contains(err.Error(), "REDIS_URL") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error: %v", err)
	}
}
