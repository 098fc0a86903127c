// Package recount counts ratings and likes again behind the requests that change them.
package recount

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"slipway/app/internal/metrics"
	"slipway/app/internal/store"
)

const (
	stream = "slipway:recounts"
	group  = "counters"

	batch = 100
	// block is how long a read waits for news, and so the longest a stop takes.
	block = time.Second
	// abandoned is how old a message is whose reader seems to have died.
	abandoned  = 10 * time.Second
	claimEvery = 5 * time.Second
	// backoff is for a Redis or store that is away.
	backoff = time.Second
	// longest is far beyond what piles up: it bounds the memory of Redis if nobody counts.
	longest = 1_000_000
	// forgotten is how long a reader has said nothing that is taken off the list.
	forgotten = time.Hour
)

// Counter is the part of a store that counts.
type Counter interface {
	Recount(ctx context.Context, change store.Change) error
}

// Queue hands changes over to whichever replica has time, so that they are counted soon. What it loses a Sweeper counts.
// As counting is not adding, counting more than once is the same.
type Queue struct {
	redis   *redis.Client
	counter Counter // of what is queued
	direct  Counter // of what a request waits for
	metrics *metrics.Metrics
	logger  *slog.Logger
	name    string // of this reader

	flights singleflight.Group
	turns   [256]sync.Mutex
}

// New makes a queue that Work has to be called for, in one replica at least. While Redis is away direct counts instead of
// counter: somebody waits for it.
func New(client *redis.Client, counter, direct Counter, m *metrics.Metrics, logger *slog.Logger) *Queue {
	host, _ := os.Hostname()
	name := fmt.Sprintf("%s-%d-%d", host, os.Getpid(), time.Now().UnixNano())
	return &Queue{redis: client, counter: counter, direct: direct, metrics: m, logger: logger, name: name}
}

// Announce queues a change, or counts it right now if Redis is away.
func (q *Queue) Announce(ctx context.Context, change store.Change) error {
	err := q.redis.XAdd(ctx, &redis.XAddArgs{
		Stream: stream, MaxLen: longest, Approx: true,
		Values: []string{"shop", change.Shop.String(), "review", change.Review.String()},
	}).Err()
	if err == nil {
		q.metrics.Recounts.WithLabelValues("queued").Inc()
		return nil
	}
	q.metrics.Recounts.WithLabelValues("direct").Inc()
	return q.countNow(ctx, change)
}

// countNow recounts a change in this request. Calls for the same change that arrive during a recount share the next one,
// because the running one may have started before their change was committed. The key is the whole change: new reviews of
// different shops all have the zero Review. Recounts of one shop wait in turn, as they would for its row in the store.
func (q *Queue) countNow(ctx context.Context, change store.Change) error {
	turn, key := &q.turns[change.Shop[len(change.Shop)-1]], change.Shop.String()+change.Review.String()
	_, err, _ := q.flights.Do(key, func() (any, error) {
		turn.Lock()
		defer turn.Unlock()
		q.flights.Forget(key)
		return nil, q.direct.Recount(context.WithoutCancel(ctx), change)
	})
	if isStale(err) { // as was to be expected: Redis is away
		return nil
	}
	return err
}

func isStale(err error) bool { return errors.Is(err, store.ErrStale) }

// Work counts what is queued until ctx ends.
func (q *Queue) Work(ctx context.Context) {
	var claimed time.Time
	for ready := false; ctx.Err() == nil; {
		if !ready && !q.join(ctx) {
			pause(ctx)
			continue
		}
		var err error
		if ready = true; time.Since(claimed) >= claimEvery {
			claimed = time.Now()
			err = q.claim(ctx)
		}
		if err = errors.Join(err, q.read(ctx)); err != nil && ctx.Err() == nil {
			q.logger.Warn("recounting is interrupted", "error", err)
			ready = false // the stream is gone too when Redis came back empty
			pause(ctx)
		}
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(backoff):
	}
}

// join makes stream and group if they are not there.
func (q *Queue) join(ctx context.Context) bool {
	err := q.redis.XGroupCreateMkStream(ctx, stream, group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return false
	}
	q.forgetReaders(ctx)
	return true
}

// forgetReaders takes those off the list that are gone and left nothing behind.
func (q *Queue) forgetReaders(ctx context.Context) {
	readers, _ := q.redis.XInfoConsumers(ctx, stream, group).Result()
	for _, reader := range readers {
		if reader.Pending == 0 && reader.Idle > forgotten {
			q.redis.XGroupDelConsumer(ctx, stream, group, reader.Name)
		}
	}
}

// claim takes over what others, or this one, read and did not finish.
func (q *Queue) claim(ctx context.Context) error {
	messages, _, err := q.redis.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream: stream, Group: group, Consumer: q.name, MinIdle: abandoned, Start: "0-0", Count: batch,
	}).Result()
	if err != nil {
		return err
	}
	return q.count(ctx, messages)
}

func (q *Queue) read(ctx context.Context) error {
	streams, err := q.redis.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: q.name, Streams: []string{stream, ">"}, Count: batch, Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return err
	}
	return q.count(ctx, streams[0].Messages)
}

// count counts each change of a batch once, however often it is in it, and then takes its messages off the queue. A change
// that could not be counted is left to the Sweeper, which takes its time: here it would come back every few seconds.
func (q *Queue) count(ctx context.Context, messages []redis.XMessage) error {
	finished, changes := sorted(messages)
	for change, ids := range changes {
		err := q.counter.Recount(ctx, change)
		switch {
		case err != nil && ctx.Err() != nil: // the process stops: another replica claims the rest
			continue
		case err == nil:
			q.metrics.Recounts.WithLabelValues("done").Add(float64(len(ids)))
		case isStale(err): // it is counted, and stays in the queue until the cache knows it
			q.metrics.Recounts.WithLabelValues("failed").Inc()
			continue
		default:
			q.metrics.Recounts.WithLabelValues("failed").Inc()
			q.logger.WarnContext(ctx, "a recount failed and is postponed", "shop", change.Shop, "review", change.Review, "error", err)
		}
		finished = append(finished, ids...)
	}
	return q.finish(context.WithoutCancel(ctx), finished)
}

// sorted gives the messages of each change, and those nobody can read.
func sorted(messages []redis.XMessage) (unreadable []string, changes map[store.Change][]string) {
	changes = map[store.Change][]string{}
	for _, message := range messages {
		change, err := decode(message.Values)
		if err != nil {
			unreadable = append(unreadable, message.ID)
			continue
		}
		changes[change] = append(changes[change], message.ID)
	}
	return unreadable, changes
}

func decode(values map[string]any) (store.Change, error) {
	shop, shopErr := store.ParseID(fmt.Sprint(values["shop"]))
	review, reviewErr := store.ParseID(fmt.Sprint(values["review"]))
	return store.Change{Shop: shop, Review: review}, errors.Join(shopErr, reviewErr)
}

func (q *Queue) finish(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := q.redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.XAck(ctx, stream, group, ids...)
		pipe.XDel(ctx, stream, ids...)
		return nil
	})
	return err
}
