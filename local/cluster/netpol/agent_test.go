package netpol

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// kernel replaces nft: it makes each loaded text available to the test.
type kernel chan string

func (k kernel) load(_ context.Context, rules string) error {
	k <- rules
	return nil
}

// next waits until rules are loaded, and returns them.
func (k kernel) next(t *testing.T) string {
	t.Helper()
	select {
	case rules := <-k:
		return rules
	case <-time.After(10 * time.Second):
		t.Fatal("no rules were loaded")
		return ""
	}
}

func clusterOf(state State) *fake.Clientset {
	var objects []runtime.Object
	for _, pod := range state.Pods {
		objects = append(objects, pod)
	}
	for _, namespace := range state.Namespaces {
		objects = append(objects, namespace)
	}
	for _, policy := range state.Policies {
		objects = append(objects, policy)
	}
	return fake.NewClientset(objects...)
}

func TestEveryRelevantChangeIsLoaded(t *testing.T) {
	client, loaded := clusterOf(testState()), make(kernel)
	go run(t.Context(), client, loaded.load)
	if rules := loaded.next(t); strings.Contains(rules, "drop") {
		t.Fatalf("nothing is isolated, yet:\n%s", rules)
	}

	policies := client.NetworkingV1().NetworkPolicies("shop")
	if _, err := policies.Create(t.Context(), policy(denyAll), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if rules := loaded.next(t); !strings.Contains(rules, "ingress-10.244.0.10") {
		t.Fatalf("the new policy is not enforced:\n%s", rules)
	}

	api, _ := client.CoreV1().Pods("shop").Get(t.Context(), "api", metav1.GetOptions{})
	api.Status.PodIPs = []corev1.PodIP{{IP: "10.244.0.99"}}
	if _, err := client.CoreV1().Pods("shop").UpdateStatus(t.Context(), api, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if rules := loaded.next(t); !strings.Contains(rules, "ingress-10.244.0.99") || strings.Contains(rules, "10.244.0.10 ") {
		t.Fatalf("the pod's new address is not enforced:\n%s", rules)
	}

	if err := policies.Delete(t.Context(), "policy", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if rules := loaded.next(t); strings.Contains(rules, "drop") {
		t.Fatalf("the deleted policy is still enforced:\n%s", rules)
	}
}

func TestAnIrrelevantChangeIsNotLoaded(t *testing.T) {
	client, loaded := clusterOf(testState(denyAll)), make(kernel)
	go run(t.Context(), client, loaded.load)
	loaded.next(t)

	api, _ := client.CoreV1().Pods("shop").Get(t.Context(), "api", metav1.GetOptions{})
	api.Status.Message = "still fine"
	if _, err := client.CoreV1().Pods("shop").UpdateStatus(t.Context(), api, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case rules := <-loaded:
		t.Errorf("loaded again:\n%s", rules)
	case <-time.After(500 * time.Millisecond):
	}
}

func TestNothingIsLoadedBeforeAllObjectsAreListed(t *testing.T) {
	client, loaded := clusterOf(testState(denyAll)), make(kernel)
	var allowed atomic.Bool
	client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		if allowed.Load() {
			return false, nil, nil
		}
		return true, nil, errors.New("the API server is not up")
	})
	go run(t.Context(), client, loaded.load)
	select {
	case rules := <-loaded:
		t.Fatalf("loaded without knowing the pods:\n%s", rules)
	case <-time.After(time.Second):
	}
	allowed.Store(true)
	if rules := loaded.next(t); !strings.Contains(rules, "ingress-10.244.0.10") {
		t.Errorf("the policy is not enforced:\n%s", rules)
	}
}

func TestRulesThatTheKernelRejectsAreRetried(t *testing.T) {
	loaded, start := make(kernel), time.Now()
	go run(t.Context(), clusterOf(testState(denyAll)), func(ctx context.Context, rules string) error {
		// Longer than the first lists take, so that none of them causes the second attempt.
		if time.Since(start) < loadRetry/2 {
			return errors.New("resource busy")
		}
		return loaded.load(ctx, rules)
	})
	loaded.next(t)
}
