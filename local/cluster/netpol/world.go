package netpol

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// pod is a pod that owns an address in the pod network, so that a packet can be told to be its own.
type pod struct {
	*corev1.Pod
	address netip.Addr
}

// world answers the questions a policy asks: which pods, in which namespaces.
type world struct {
	pods            []pod
	namespaceLabels map[string]labels.Set
	policies        []*netv1.NetworkPolicy
}

func newWorld(state State) world {
	w := world{
		pods:            addressedPods(state.Pods),
		namespaceLabels: map[string]labels.Set{},
		policies:        slices.Clone(state.Policies),
	}
	for _, namespace := range state.Namespaces {
		w.namespaceLabels[namespace.Name] = namespace.Labels
	}
	slices.SortFunc(w.policies, func(a, b *netv1.NetworkPolicy) int { return compareNames(a, b) })
	return w
}

// addressedPods leaves out pods that share the node's address, that have none yet, and that have ended: an address
// is given to the next pod as soon as its owner has ended. If two still claim one address the younger has it.
func addressedPods(all []*corev1.Pod) []pod {
	owner := map[netip.Addr]*corev1.Pod{}
	for _, p := range all {
		address, ok := podAddress(p)
		if !ok {
			continue
		}
		if rival := owner[address]; rival == nil || younger(p, rival) {
			owner[address] = p
		}
	}
	var pods []pod
	for address, p := range owner {
		pods = append(pods, pod{p, address})
	}
	slices.SortFunc(pods, func(a, b pod) int { return a.address.Compare(b.address) })
	return pods
}

// podAddress is the pod's own IPv4 address.
func podAddress(p *corev1.Pod) (netip.Addr, bool) {
	ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	if p.Spec.HostNetwork || ended {
		return netip.Addr{}, false
	}
	for _, ip := range p.Status.PodIPs {
		if address, err := netip.ParseAddr(ip.IP); err == nil && address.Is4() {
			return address, true
		}
	}
	return netip.Addr{}, false
}

func younger(a, b *corev1.Pod) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return compareNames(a, b) > 0
	}
	return a.CreationTimestamp.After(b.CreationTimestamp.Time)
}

func compareNames(a, b metav1.Object) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}

// policiesFor are the policies that select the pod and say something about the given direction.
func (w world) policiesFor(p pod, direction netv1.PolicyType) []*netv1.NetworkPolicy {
	var selecting []*netv1.NetworkPolicy
	for _, policy := range w.policies {
		if policy.Namespace == p.Namespace && matches(&policy.Spec.PodSelector, p.Labels) && governs(policy, direction) {
			selecting = append(selecting, policy)
		}
	}
	return selecting
}

// governs reports whether the policy isolates its pods in the given direction. Without policyTypes: ingress always,
// egress if it has egress rules.
func governs(policy *netv1.NetworkPolicy, direction netv1.PolicyType) bool {
	if len(policy.Spec.PolicyTypes) > 0 {
		return slices.Contains(policy.Spec.PolicyTypes, direction)
	}
	return direction == netv1.PolicyTypeIngress || len(policy.Spec.Egress) > 0
}

// selectPods are the pods that one peer of a policy in the given namespace means.
func (w world) selectPods(policyNamespace string, peer netv1.NetworkPolicyPeer) []pod {
	var selected []pod
	for _, p := range w.pods {
		if w.namespaceSelected(policyNamespace, peer.NamespaceSelector, p.Namespace) &&
			(peer.PodSelector == nil || matches(peer.PodSelector, p.Labels)) {
			selected = append(selected, p)
		}
	}
	return selected
}

func (w world) namespaceSelected(policyNamespace string, selector *metav1.LabelSelector, namespace string) bool {
	if selector == nil {
		return namespace == policyNamespace
	}
	namespaceLabels, known := w.namespaceLabels[namespace]
	return known && matches(selector, namespaceLabels)
}

// matches is false for a selector that does not parse; the API server does not accept such a one.
func matches(selector *metav1.LabelSelector, set labels.Set) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(set)
}
