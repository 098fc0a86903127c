// Worker counts the entries of a stream in Redis, each once, and takes a while for each. At SIGTERM it finishes the one
// at hand and ends. tests/neighbours/scaling/test_keda.py scales it by its backlog.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	stream, group = "jobs", "workers"
	// counts has how often each entry was counted.
	counts = "jobs:counts"
	// work is how long an entry takes.
	work = 20 * time.Millisecond
	// pause is how long the worker waits for an entry before it looks for SIGTERM again.
	pause = time.Second
	// abandoned is how long an entry is left to the pod that read it.
	abandoned = 30 * time.Second
	// batch is how many entries are read at once.
	batch = 5
)

// count acknowledges, deletes and counts an entry in one step. An entry that another pod has acknowledged meanwhile is
// not counted again.
var count = redis.NewScript(`
if redis.call("XACK", KEYS[1], ARGV[1], ARGV[2]) == 1 then
  redis.call("XDEL", KEYS[1], ARGV[2])
  redis.call("HINCRBY", KEYS[2], ARGV[3], 1)
end
return 0`)

func main() {
	stopping, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	password, err := os.ReadFile(os.Getenv("SECRETS_DIR") + "/redis-password")
	if err != nil {
		log.Fatal(err)
	}
	store := redis.NewClient(&redis.Options{
		Addr:     net.JoinHostPort(os.Getenv("REDIS_HOST"), os.Getenv("REDIS_PORT")),
		Password: strings.TrimSpace(string(password)),
	})
	consumer, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	// Not with the context that ends: a command that is cut off may have read entries all the same.
	ctx := context.Background()
	for stopping.Err() == nil {
		if err := run(ctx, store, consumer); err != nil {
			log.Print(err)
			time.Sleep(pause) // Redis restarts
		}
	}
	log.Print("ended")
}

// run counts some entries: those that a pod has left behind, and new ones.
func run(ctx context.Context, store *redis.Client, consumer string) error {
	err := store.XGroupCreateMkStream(ctx, stream, group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return err
	}
	left, _, err := store.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream: stream, Group: group, Consumer: consumer, MinIdle: abandoned, Start: "0-0", Count: batch,
	}).Result()
	if err != nil {
		return err
	}
	read, err := store.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: consumer, Streams: []string{stream, ">"}, Count: batch, Block: pause,
	}).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	entries := left
	for _, found := range read {
		entries = append(entries, found.Messages...)
	}
	for _, entry := range entries {
		time.Sleep(work)
		job, _ := entry.Values["job"].(string)
		if err := count.Run(ctx, store, []string{stream, counts}, group, entry.ID, job).Err(); err != nil {
			return err
		}
	}
	return nil
}
