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

// counter remembers what it was told to count.
type counter struct {
	mu    sync.Mutex
	calls map[store.Change]int
	fails int // so many calls fail first
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

// work runs the queue until the test ends.
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

func empty(t *testing.T, client *redis.Client) func() bool {
	return func() bool { return client.XLen(t.Context(), "slipway:recounts").Val() == 0 }
}

func TestWhatIsAnnouncedIsCountedAndTakenOffTheQueue(t *testing.T) {
	client, _ := redistest.Client(t)
	c, change := &counter{}, newChange()
	queue := newQueue(client, c)
	announce(t, queue, change) // before anybody listens
	work(t, queue)
	eventually(t, "counted", 5*time.Second, func() bool { return c.count(change) == 1 })
	eventually(t, "the queue is empty", 5*time.Second, empty(t, client))
}

func TestManyChangesOfTheSameAreCountedFewTimes(t *testing.T) {
	client, _ := redistest.Client(t)
	c, change := &counter{}, newChange()
	queue := newQueue(client, c)
	for range 300 {
		announce(t, queue, change)
	}
	work(t, queue)
	eventually(t, "the queue is empty", 5*time.Second, empty(t, client))
	if got := c.count(change); got < 1 || got > 5 {
		t.Errorf("counted %d times", got)
	}
}

func TestWhatADeadReaderTookIsCountedByAnother(t *testing.T) {
	client, _ := redistest.Client(t)
	c, abandoned := &counter{}, newChange()
	queue := newQueue(client, c)
	work(t, queue)
	eventually(t, "somebody listens", 5*time.Second, func() bool {
		return client.XPending(t.Context(), "slipway:recounts", "counters").Val() != nil
	})
	// A reader that takes a message and dies.
	announce(t, newQueue(client, c), abandoned)
	client.XReadGroup(t.Context(), &goredis.XReadGroupArgs{Group: "counters", Consumer: "dead", Streams: []string{"slipway:recounts", ">"}, Count: 1, Block: -1})
	eventually(t, "counted", 25*time.Second, func() bool { return c.count(abandoned) > 0 })
	eventually(t, "the queue is empty", 5*time.Second, empty(t, client))
}

func TestWhatCannotBeCountedDoesNotComeBackInTheQueue(t *testing.T) {
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

// backlog has each of these changes overdue until it is counted; it is handed out once.
type backlog struct {
	counter
	overdue []store.Overdue
	away    int // so many questions fail first
}

func (b *backlog) Overdue(_ context.Context, limit int) (overdue []store.Overdue, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away > 0 {
		b.away--
		return nil, store.ErrUnavailable
	}
	count := min(limit, len(b.overdue))
	overdue, b.overdue = b.overdue[:count], b.overdue[count:]
	return overdue, nil
}

func sweep(t *testing.T, b *backlog, m *metrics.Metrics, out io.Writer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var sweeper sync.WaitGroup
	sweeper.Go(func() { recount.NewSweeper(b, b, m, slog.New(slog.NewTextHandler(out, nil))).Work(ctx) })
	t.Cleanup(func() { cancel(); sweeper.Wait() })
}

func TestTheSweeperCountsWhatIsOverdueThoughTheStoreWasAway(t *testing.T) {
	b := &backlog{away: 1}
	for range 250 {
		b.overdue = append(b.overdue, store.Overdue{Change: newChange()})
	}
	last := b.overdue[249].Change
	sweep(t, b, metrics.New("test"), io.Discard)
	eventually(t, "all counted", 20*time.Second, func() bool { return b.count(last) == 1 })
}

func TestAChangeThatCannotBeCountedIsReportedAndDoesNotKeepTheOthersWaiting(t *testing.T) {
	var out logged
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

// logged is a buffer for several goroutines.
type logged struct {
	mu sync.Mutex
	strings.Builder
}

func (l *logged) Write(content []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(content)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.String()
}

func TestWithoutRedisAllThatComeDuringACountShareTheNext(t *testing.T) {
	client, line := redistest.Client(t)
	c, change := &counter{}, newChange()
	queue := newQueue(client, c)
	line.Cut()
	c.mu.Lock() // the first count takes its time
	var announced sync.WaitGroup
	for range 50 {
		announced.Go(func() { announce(t, queue, change) })
	}
	time.Sleep(500 * time.Millisecond)
	c.mu.Unlock()
	announced.Wait()
	if got := c.count(change); got < 2 || got > 5 {
		t.Errorf("counted %d times", got)
	}
}

func TestWithoutRedisNewReviewsOfDifferentShopsAreAllCounted(t *testing.T) {
	client, line := redistest.Client(t)
	c := &counter{}
	queue := newQueue(client, c)
	line.Cut()
	changes := make([]store.Change, 20)
	for at := range changes {
		changes[at].Shop = ids.Next(store.Now()) // a new review changes no likes: Review is the zero id
	}
	c.mu.Lock() // the first count takes its time
	var announced sync.WaitGroup
	for _, change := range changes {
		announced.Go(func() { announce(t, queue, change) })
	}
	time.Sleep(500 * time.Millisecond)
	c.mu.Unlock()
	announced.Wait()
	for at, change := range changes {
		if c.count(change) != 1 {
			t.Errorf("shop %d was counted %d times", at, c.count(change))
		}
	}
}

func TestWithoutRedisItIsCountedAtOnce(t *testing.T) {
	client, line := redistest.Client(t)
	c, change := &counter{}, newChange()
	queue := newQueue(client, c)
	line.Cut()
	announce(t, queue, change)
	if got := c.count(change); got != 1 {
		t.Errorf("counted %d times", got)
	}
	c.stale = true
	announce(t, queue, change) // the old page lives until it expires
	c.fails = 1
	if err := queue.Announce(t.Context(), change); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("without the store too: %v", err)
	}
}

func TestItGoesOnWhenRedisComesBackEmpty(t *testing.T) {
	client, line := redistest.Client(t)
	c := &counter{}
	queue := newQueue(client, c)
	work(t, queue)
	for range 2 {
		change := newChange()
		announce(t, queue, change)
		eventually(t, "counted", 10*time.Second, func() bool { return c.count(change) > 0 })
		line.Cut()
		line.Mend()
		eventually(t, "Redis answers", 5*time.Second, func() bool { return client.FlushDB(t.Context()).Err() == nil })
	}
}

func TestWhatNobodyCanReadIsTakenOffTheQueue(t *testing.T) {
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
		t.Errorf("it took %s", took)
	}
}
