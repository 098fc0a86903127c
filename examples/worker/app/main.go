// Worker takes jobs from a list in Redis, one at a time. It answers no requests. At SIGTERM it finishes the job at hand,
// takes no other, and ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// The lists in Redis: jobs that wait, jobs at hand, and results.
const waiting, running, done = "jobs", "jobs:running", "jobs:done"

// pause is how long the worker waits for a job before it looks for SIGTERM again.
const pause = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("REDIS_URL"), uppercase); err != nil {
		log.Fatal(err)
	}
	log.Print("ended")
}

// uppercase is the work of this example. It takes a second.
func uppercase(job string) string {
	time.Sleep(time.Second)
	return strings.ToUpper(job)
}

// run does jobs until the context ends.
func run(ctx context.Context, url string, work func(string) string) error {
	options, err := redis.ParseURL(url)
	if err != nil {
		return errors.New("REDIS_URL is no URL of Redis") // the error itself shows the URL, with the password
	}
	store := redis.NewClient(options)
	defer store.Close()
	log.Print("waiting for jobs")
	for ctx.Err() == nil {
		// Not with ctx: a command that is cut off may have moved a job all the same.
		if err := one(context.WithoutCancel(ctx), store, work); err != nil {
			log.Print(err)
			time.Sleep(pause) // Redis restarts
		}
	}
	return nil
}

// one waits a moment for a job, and does it. The job stays in the list `running` until its result is stored.
func one(ctx context.Context, store *redis.Client, work func(string) string) error {
	job, err := store.BLMove(ctx, waiting, running, "RIGHT", "LEFT", pause).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take a job: %w", err)
	}
	result := work(job)
	_, err = store.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.LPush(ctx, done, result)
		pipe.LRem(ctx, running, 1, job)
		return nil
	})
	if err != nil {
		return fmt.Errorf("store the result of job %q: %w", job, err)
	}
	return nil
}
