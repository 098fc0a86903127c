// Package recount recomputes ratings and likes in the background of the requests that change them: soon, through a Redis
// stream (Queue), and later whatever that missed, from the store (Sweeper). How to count is up to the store.
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
	// readBlock is how long a read waits for messages, and therefore how long stopping may take.
	readBlock = time.Second
	// minClaimIdle is how long a message is pending before another consumer takes it over: its own seems to have crashed.
	minClaimIdle    = 10 * time.Second
	claimInterval   = 5 * time.Second
	backlogInterval = 5 * time.Second
	// backoff is the pause after a failure of Redis.
	backoff = time.Second
	// maxLen caps the stream, so that the memory of Redis stays bounded while no consumer runs.
	maxLen = 1_000_000
	// consumerTTL is how long an idle consumer without pending messages is kept.
	consumerTTL = time.Hour
)

// Counter is the part of a store that recounts.
type Counter interface {
	Recount(ctx context.Context, change store.Change) error
}

// Queue distributes changes to the replicas, so that they are recounted soon. What it loses is recounted by a Sweeper.
// Delivering a change more than once is harmless, because a recount is idempotent.
type Queue struct {
	redis   *redis.Client
	counter Counter // for queued changes
	direct  Counter // for changes that a request waits for
	metrics *metrics.Metrics
	logger  *slog.Logger
	name    string // of this consumer

	flights singleflight.Group
	locks   [256]sync.Mutex // by shop
}

// New returns a queue. At least one replica has to call Work. Queued changes are recounted by counter. While Redis is
// unavailable, requests wait for recounts by direct, which should therefore time out sooner.
func New(client *redis.Client, counter, direct Counter, m *metrics.Metrics, logger *slog.Logger) *Queue {
	host, _ := os.Hostname()
	name := fmt.Sprintf("%s-%d-%d", host, os.Getpid(), time.Now().UnixNano())
	return &Queue{redis: client, counter: counter, direct: direct, metrics: m, logger: logger, name: name}
}

// Announce queues a change. If Redis is unavailable, it recounts the change before it returns.
func (q *Queue) Announce(ctx context.Context, change store.Change) error {
	err := q.redis.XAdd(ctx, &redis.XAddArgs{
		Stream: stream, MaxLen: maxLen, Approx: true,
		Values: []string{"shop", change.Shop.String(), "review", change.Review.String()},
	}).Err()
	if err == nil {
		q.metrics.Recounts.WithLabelValues("queued").Inc()
		return nil
	}
	q.metrics.Recounts.WithLabelValues("direct").Inc()
	return q.recountNow(ctx, change)
}

// recountNow recounts a change in this request. Calls for the same change that arrive during a recount share the next
// one, because the running one may have started before their change was committed. The key is the whole change: new
// reviews of different shops all have the zero Review. Recounts of one shop run one after another; they would wait for
// its row in the store anyway.
func (q *Queue) recountNow(ctx context.Context, change store.Change) error {
	lock, key := &q.locks[change.Shop[len(change.Shop)-1]], change.Shop.String()+change.Review.String()
	_, err, _ := q.flights.Do(key, func() (any, error) {
		lock.Lock()
		defer lock.Unlock()
		q.flights.Forget(key)
		return nil, q.direct.Recount(context.WithoutCancel(ctx), change)
	})
	if isStale(err) { // expected while Redis is unavailable
		return nil
	}
	return err
}

func isStale(err error) bool { return errors.Is(err, store.ErrStale) }

// Work recounts queued changes until ctx ends.
func (q *Queue) Work(ctx context.Context) {
	var claimed time.Time
	for ready := false; ctx.Err() == nil; {
		if !ready && !q.join(ctx) {
			pause(ctx)
			continue
		}
		var err error
		if ready = true; time.Since(claimed) >= claimInterval {
			claimed = time.Now()
			err = q.claim(ctx)
		}
		if err = errors.Join(err, q.read(ctx)); err != nil && ctx.Err() == nil {
			q.logger.Warn("recounting is interrupted", "error", err)
			ready = false // Redis may have come back empty, without the stream
			pause(ctx)
		}
	}
}

// MeasureBacklog exports the length of the queue until ctx ends, also while a recount takes long. The length is the
// backlog, because recounted changes are deleted. XINFO GROUPS does not help: it cannot tell the lag of a stream with
// deleted messages.
func (q *Queue) MeasureBacklog(ctx context.Context) {
	ticks := time.NewTicker(backlogInterval)
	defer ticks.Stop()
	for {
		if length, err := q.redis.XLen(ctx, stream).Result(); err == nil { // otherwise the last known value remains
			q.metrics.Backlog.Set(float64(length))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(backoff):
	}
}

// join creates the stream and the consumer group if they do not exist. It reports whether Redis responded.
func (q *Queue) join(ctx context.Context) bool {
	err := q.redis.XGroupCreateMkStream(ctx, stream, group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return false
	}
	q.removeIdleConsumers(ctx)
	return true
}

// removeIdleConsumers removes the consumers of processes that ended, once they have no pending messages.
func (q *Queue) removeIdleConsumers(ctx context.Context) {
	consumers, _ := q.redis.XInfoConsumers(ctx, stream, group).Result()
	for _, consumer := range consumers {
		if consumer.Pending == 0 && consumer.Idle > consumerTTL {
			q.redis.XGroupDelConsumer(ctx, stream, group, consumer.Name)
		}
	}
}

// claim takes over messages that a consumer, possibly this one, has read but not acknowledged.
func (q *Queue) claim(ctx context.Context) error {
	messages, _, err := q.redis.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream: stream, Group: group, Consumer: q.name, MinIdle: minClaimIdle, Start: "0-0", Count: batch,
	}).Result()
	if err != nil {
		return err
	}
	return q.recount(ctx, messages)
}

// read recounts the next messages.
func (q *Queue) read(ctx context.Context) error {
	streams, err := q.redis.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: q.name, Streams: []string{stream, ">"}, Count: batch, Block: readBlock,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return err
	}
	return q.recount(ctx, streams[0].Messages)
}

// recount recounts each change of a batch once, however often it occurs, and then removes its messages. It leaves a
// change that cannot be recounted to the Sweeper, which retries less often: in the queue it would return every few
// seconds.
func (q *Queue) recount(ctx context.Context, messages []redis.XMessage) error {
	done, changes := groupByChange(messages)
	for change, ids := range changes {
		err := q.counter.Recount(ctx, change)
		switch {
		case err != nil && ctx.Err() != nil: // the process stops: another replica claims the rest
			continue
		case err == nil:
			q.metrics.Recounts.WithLabelValues("done").Add(float64(len(ids)))
		case isStale(err): // recounted, but stays in the queue until the cache is invalidated
			q.metrics.Recounts.WithLabelValues("failed").Inc()
			continue
		default:
			q.metrics.Recounts.WithLabelValues("failed").Inc()
			q.logger.WarnContext(ctx, "a recount failed and is postponed", "shop", change.Shop, "review", change.Review, "error", err)
		}
		done = append(done, ids...)
	}
	return q.remove(context.WithoutCancel(ctx), done)
}

// groupByChange returns the IDs of the messages of each change, and those of invalid messages.
func groupByChange(messages []redis.XMessage) (invalid []string, changes map[store.Change][]string) {
	changes = map[store.Change][]string{}
	for _, message := range messages {
		change, err := decode(message.Values)
		if err != nil {
			invalid = append(invalid, message.ID)
			continue
		}
		changes[change] = append(changes[change], message.ID)
	}
	return invalid, changes
}

// decode returns the change of a message.
func decode(values map[string]any) (store.Change, error) {
	shop, shopErr := store.ParseID(fmt.Sprint(values["shop"]))
	review, reviewErr := store.ParseID(fmt.Sprint(values["review"]))
	return store.Change{Shop: shop, Review: review}, errors.Join(shopErr, reviewErr)
}

// remove acknowledges and deletes messages.
func (q *Queue) remove(ctx context.Context, ids []string) error {
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
