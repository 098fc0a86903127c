package netpol

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	// A rollout changes many pods at once; one load of the table does for all that happens within this time.
	burst = 50 * time.Millisecond
	// How long to wait after the kernel has refused the rules.
	loadRetry = time.Second
)

// reconnect is short on purpose: the API server is on the same machine, and until it answers no new policy is
// enforced. The informers of client-go would wait up to 30 s, which is why the agent has reflectors of its own.
var reconnect = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.5, Steps: 5, Cap: 2 * time.Second, Jitter: 0.2}

// agent keeps the rules in the kernel equal to what the API server asks for.
type agent struct {
	load       func(ctx context.Context, rules string) error
	changed    chan struct{}
	pods       *mirror
	namespaces *mirror
	policies   *mirror
}

// run works until ctx ends. It loads nothing before it knows all pods, namespaces and policies; the rules of an
// earlier run stay in force until then, as the last ones do after it.
func run(ctx context.Context, client kubernetes.Interface, load func(ctx context.Context, rules string) error) {
	a := &agent{load: load, changed: make(chan struct{}, 1)}
	a.pods = startMirror(ctx, a.wake, client, client.CoreV1().Pods(metav1.NamespaceAll), &corev1.Pod{})
	a.namespaces = startMirror(ctx, a.wake, client, client.CoreV1().Namespaces(), &corev1.Namespace{})
	a.policies = startMirror(ctx, a.wake, client, client.NetworkingV1().NetworkPolicies(metav1.NamespaceAll), &netv1.NetworkPolicy{})
	a.enforce(ctx)
}

// wake never waits: one wake-up that has not been seen yet stands for all.
func (a *agent) wake() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

func (a *agent) enforce(ctx context.Context) {
	loaded := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		}
		if !a.pods.complete.Load() || !a.namespaces.complete.Load() || !a.policies.complete.Load() {
			continue
		}
		rules := Render(a.state())
		if rules == loaded {
			continue
		}
		if err := a.load(ctx, rules); err != nil {
			slog.Error("rules refused, the former ones stay in force", "err", err)
			time.AfterFunc(loadRetry, a.wake)
			continue
		}
		loaded = rules
		slog.Info("rules loaded", "policies", len(a.policies.List()), "bytes", len(rules))
		time.Sleep(burst)
	}
}

func (a *agent) state() State {
	return State{
		Pods:       objects[*corev1.Pod](a.pods),
		Namespaces: objects[*corev1.Namespace](a.namespaces),
		Policies:   objects[*netv1.NetworkPolicy](a.policies),
	}
}

// mirror is a local copy of all objects of one kind that reports every change.
type mirror struct {
	cache.Store
	changed func()
	// complete is set by the first full list.
	complete atomic.Bool
}

// listerWatcher is the part of a typed client that a mirror needs.
type listerWatcher[List runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (List, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

func startMirror[List runtime.Object](
	ctx context.Context, changed func(), client kubernetes.Interface, from listerWatcher[List], kind runtime.Object,
) *mirror {
	m := &mirror{Store: cache.NewStore(cache.MetaNamespaceKeyFunc), changed: changed}
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return from.List(ctx, options)
		},
		WatchFuncWithContext: from.Watch,
	}
	backoff := reconnect
	reflector := cache.NewReflectorWithOptions(
		cache.ToListWatcherWithWatchListSemantics(source, client), kind, m, cache.ReflectorOptions{Backoff: &backoff})
	go reflector.RunWithContext(ctx)
	return m
}

func (m *mirror) Add(object any) error    { defer m.changed(); return m.Store.Add(object) }
func (m *mirror) Update(object any) error { defer m.changed(); return m.Store.Update(object) }
func (m *mirror) Delete(object any) error { defer m.changed(); return m.Store.Delete(object) }

func (m *mirror) Replace(objects []any, resourceVersion string) error {
	defer m.changed()
	defer m.complete.Store(true)
	return m.Store.Replace(objects, resourceVersion)
}

func objects[T any](m *mirror) []T {
	var all []T
	for _, object := range m.List() {
		all = append(all, object.(T))
	}
	return all
}
