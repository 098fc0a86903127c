package recount_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"slipway/app/internal/metrics"
	"slipway/app/internal/recount"
	"slipway/app/internal/redis"
	"slipway/app/internal/redis/redistest"
	"slipway/app/internal/store"
)

// counter records the changes that it recounts.
type counter struct {
	mu    sync.Mutex
	calls map[store.Change]int
	fails int // the first fails calls fail
	stale bool
}

func (c *counter) Recount(_ context.Context, change store.Change) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails > 0 {
		c.fails--
		return store.ErrUnavailable
	}
	if c.calls == nil {
		c.calls = map[store.Change]int{}
	}
	c.calls[change]++
	if c.stale {
		return store.ErrStale
	}
	return nil
}

// count returns how often a change was recounted.
func (c *counter) count(change store.Change) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[change]
}

var ids store.IDs

func newChange() store.Change {
	return store.Change{Shop: ids.Next(store.Now()), Review: ids.Next(store.Now())}
}

func newQueue(client *redis.Client, counter recount.Counter) *recount.Queue {
	return recount.New(client, counter, counter, metrics.New("test"), slog.New(slog.DiscardHandler))
}

// work runs the queue until stop is called or the test ends.
func work(t *testing.T, queue *recount.Queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var worker sync.WaitGroup
	worker.Go(func() { queue.Work(ctx) })
	stop = func() { cancel(); worker.Wait() }
	t.Cleanup(stop)
	return stop
}

func announce(t *testing.T, queue *recount.Queue, change store.Change) {
	t.Helper()
	if err := queue.Announce(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// empty returns a check that the queue is empty.
func empty(t *testing.T, client *redis.Client) func() bool {
	return func() bool { return client.XLen(t.Context(), "slipway:recounts").Val() == 0 }
}

func TestAnAnnouncedChangeIsRecountedAndRemovedFromTheQueue(t *testing.T) {
	client, _ := redistest.Client(t)
	c, change := &counter{}, newChange()
	queue := newQueue(client, c)
	announce(t, queue, change) // before there is a consumer
	work(t, queue)
	eventually(t, "counted", 5*time.Second, func() bool { return c.count(change) == 1 })
	eventually(t, "the queue is empty", 5*time.Second, empty(t, client))
}

func TestTheBacklogIsTheNumberOfChangesThatAreNotRecounted(t *testing.T) {
	client, _ := redistest.Client(t)
	m := metrics.New("test")
	queue := recount.New(client, &counter{}, &counter{}, m, slog.New(slog.DiscardHandler))
	exported := func(line string) func() bool {
		return func() bool {
			page := httptest.NewRecorder()
			m.Handler().ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			return strings.Contains(page.Body.String(), "\n"+line+"\n")
		}
	}
	for range 3 {
		announce(t, queue, newChange())
	}
	var measuring sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(measuring.Wait)
	t.Cleanup(stop)
	measuring.Go(func() { queue.MeasureBacklog(ctx) })
	eventually(t, "three are reported", 5*time.Second, exported("app_recount_backlog 3"))
	work(t, queue)
	eventually(t, "none is reported", 20*time.Second, exported("app_recount_backlog 0"))
}

func TestRepeatedChangesAreRecountedTogether(t *testing.T) {
	client, _ := redistest.Client(t)
	c, change := &counter{}, newChange()
	queue := newQueue(client, c)
	for range 300 {
		announce(t, queue, change)
	}
	work(t, queue)
	eventually(t, "the queue is empty", 5*time.Second, empty(t, client))
	if got := c.count(change); got < 1 || got > 5 {
		t.Errorf("recounted %d times", got)
	}
}

func TestTheMessagesOfACrashedConsumerAreRecountedByAnother(t *testing.T) {
	client, _ := redistest.Client(t)
	c, abandoned := &counter{}, newChange()
	queue := newQueue(client, c)
	work(t, queue)
	eventually(t, "there is a consumer", 5*time.Second, func() bool {
		return client.XPending(t.Context(), "slipway:recounts", "counters").Val() != nil
	})
	// A consumer reads a message and crashes.
	announce(t, newQueue(client, c), abandoned)
	client.XReadGroup(t.Context(), &goredis.XReadGroupArgs{Group: "counters", Consumer: "dead", Streams: []string{"slipway:recounts", ">"}, Count: 1, Block: -1})
	eventually(t, "counted", 25*time.Second, func() bool { return c.count(abandoned) > 0 })
	eventually(t, "the queue is empty", 5*time.Second, empty(t, client))
}

func TestAFailedRecountIsNotRepeatedByTheQueue(t *testing.T) {
	client, _ := redistest.Client(t)
	c, change := &counter{fails: 1000}, newChange()
	queue := newQueue(client, c)
	work(t, queue)
	announce(t, queue, change)
	eventually(t, "the queue is empty", 5*time.Second, empty(t, client))
	c.mu.Lock()
	defer c.mu.Unlock()
	if tries := 1000 - c.fails; tries != 1 {
		t.Errorf("tried %d times", tries)
	}
}

// backlog returns each overdue change once.
type backlog struct {
	counter
	overdue []store.Overdue
	failing int // the first failing calls of Overdue fail
}

func (b *backlog) Overdue(_ context.Context, limit int) (overdue []store.Overdue, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failing > 0 {
		b.failing--
		return nil, store.ErrUnavailable
	}
	count := min(limit, len(b.overdue))
	overdue, b.overdue = b.overdue[:count], b.overdue[count:]
	return overdue, nil
}

// sweep runs a sweeper until the test ends.
func sweep(t *testing.T, b *backlog, m *metrics.Metrics, out io.Writer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var sweeper sync.WaitGroup
	sweeper.Go(func() { recount.NewSweeper(b, b, m, slog.New(slog.NewTextHandler(out, nil))).Work(ctx) })
	t.Cleanup(func() { cancel(); sweeper.Wait() })
}

func TestTheSweeperRecountsOverdueChangesAfterTheStoreWasUnavailable(t *testing.T) {
	b := &backlog{failing: 1}
	for range 250 {
		b.overdue = append(b.overdue, store.Overdue{Change: newChange()})
	}
	last := b.overdue[249].Change
	sweep(t, b, metrics.New("test"), io.Discard)
	eventually(t, "all counted", 20*time.Second, func() bool { return b.count(last) == 1 })
}

func TestAFailingChangeIsReportedAndDoesNotBlockTheOthers(t *testing.T) {
	var out logBuffer
	stuck, fine := store.Overdue{Change: newChange(), Tries: 3}, store.Overdue{Change: newChange()}
	b := &backlog{counter: counter{fails: 1}, overdue: []store.Overdue{stuck, fine}}
	m := metrics.New("test")
	sweep(t, b, m, &out)
	eventually(t, "the other is counted", 20*time.Second, func() bool { return b.count(fine.Change) == 1 })
	if line := out.String(); !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "shop="+stuck.Change.Shop.String()) || !strings.Contains(line, "tries=4") {
		t.Errorf("logged %s", line)
	}
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(page.Body.String(), `recounts_total{result="failed"} 1`) {
		t.Error("it is not in the metrics")
	}
}

// logBuffer is safe for concurrent use.
type logBuffer struct {
	mu sync.Mutex
	strings.Builder
}

func (l *logBuffer) Write(content []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(content)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.String()
}

func TestWithoutRedisCallsDuringARecountShareTheNextOne(t *testing.T) {
	client, proxy := redistest.Client(t)
	c, change := &counter{}, newChange()
	queue := newQueue(client, c)
	proxy.Cut()
	c.mu.Lock() // blocks the first recount
	var announced sync.WaitGroup
	for range 50 {
		announced.Go(func() { announce(t, queue, change) })
	}
	time.Sleep(500 * time.Millisecond)
	c.mu.Unlock()
	announced.Wait()
	if got := c.count(change); got < 2 || got > 5 {
		t.Errorf("recounted %d times", got)
	}
}

func TestWithoutRedisNewReviewsOfDifferentShopsAreAllRecounted(t *testing.T) {
	client, proxy := redistest.Client(t)
	c := &counter{}
	queue := newQueue(client, c)
	proxy.Cut()
	changes := make([]store.Change, 20)
	for i := range changes {
		changes[i].Shop = ids.Next(store.Now()) // a new review changes no likes, so that Review is zero
	}
	c.mu.Lock() // blocks the first recount
	var announced sync.WaitGroup
	for _, change := range changes {
		announced.Go(func() { announce(t, queue, change) })
	}
	time.Sleep(500 * time.Millisecond)
	c.mu.Unlock()
	announced.Wait()
	for i, change := range changes {
		if c.count(change) != 1 {
			t.Errorf("shop %d was recounted %d times", i, c.count(change))
		}
	}
}

func TestWithoutRedisAChangeIsRecountedAtOnce(t *testing.T) {
	client, proxy := redistest.Client(t)
	c, change := &counter{}, newChange()
	queue := newQueue(client, c)
	proxy.Cut()
	announce(t, queue, change)
	if got := c.count(change); got != 1 {
		t.Errorf("recounted %d times", got)
	}
	c.stale = true
	announce(t, queue, change) // the cache has the old value until it expires
	c.fails = 1
	if err := queue.Announce(t.Context(), change); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("also without the store: %v", err)
	}
}

func TestTheQueueContinuesWhenRedisComesBackEmpty(t *testing.T) {
	client, proxy := redistest.Client(t)
	c := &counter{}
	queue := newQueue(client, c)
	work(t, queue)
	for range 2 {
		change := newChange()
		announce(t, queue, change)
		eventually(t, "counted", 10*time.Second, func() bool { return c.count(change) > 0 })
		proxy.Cut()
		proxy.Restore()
		eventually(t, "Redis responds", 5*time.Second, func() bool { return client.FlushDB(t.Context()).Err() == nil })
	}
}

func TestAnInvalidMessageIsRemovedFromTheQueue(t *testing.T) {
	client, _ := redistest.Client(t)
	work(t, newQueue(client, &counter{}))
	client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "slipway:recounts", Values: []string{"shop", "x"}})
	eventually(t, "the queue is empty", 5*time.Second, empty(t, client))
}

func TestStoppingTakesAboutASecond(t *testing.T) {
	client, _ := redistest.Client(t)
	stop := work(t, newQueue(client, &counter{}))
	time.Sleep(100 * time.Millisecond)
	started := time.Now()
	stop()
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("stopping took %s", took)
	}
}
