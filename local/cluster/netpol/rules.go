package netpol

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// rule lets one kind of traffic through: match is an nft expression, "" for all traffic, else ending in a space.
type rule struct {
	match  string
	policy string
}

// ingressRules says what may reach the pod; isolated is false when no policy speaks about it and everything may.
func (w world) ingressRules(p pod) (rules []rule, isolated bool) {
	selecting := w.policiesFor(p, netv1.PolicyTypeIngress)
	if len(selecting) == 0 {
		return nil, false
	}
	rules = []rule{{"ip saddr " + p.address.String() + " ", "itself"}}
	for _, policy := range selecting {
		for _, r := range policy.Spec.Ingress {
			sources := w.resolve(policy.Namespace, r.From)
			for _, match := range cross(sources.matches("ip saddr"), portMatches(r.Ports, p.Pod)) {
				rules = append(rules, rule{match, policy.Name})
			}
		}
	}
	return rules, true
}

// egressRules says what the pod may reach; isolated is false when no policy speaks about it and it may reach
// everything.
func (w world) egressRules(p pod) (rules []rule, isolated bool) {
	selecting := w.policiesFor(p, netv1.PolicyTypeEgress)
	if len(selecting) == 0 {
		return nil, false
	}
	rules = []rule{{"ip daddr " + p.address.String() + " ", "itself"}}
	for _, policy := range selecting {
		for _, r := range policy.Spec.Egress {
			destinations := w.resolve(policy.Namespace, r.To)
			allowed := cross(destinations.matches("ip daddr"), portMatches(r.Ports, nil))
			for _, match := range append(allowed, w.namedPortMatches(destinations, r.Ports)...) {
				rules = append(rules, rule{match, policy.Name})
			}
		}
	}
	return rules, true
}

// cross joins every peer with every port.
func cross(peers, ports []string) []string {
	var all []string
	for _, peer := range peers {
		for _, port := range ports {
			all = append(all, peer+port)
		}
	}
	return all
}

// peers is whom the `from` or `to` of one policy rule means.
type peers struct {
	everybody bool
	pods      []netip.Addr
	blocks    []block
}

// block is an address range with holes in it.
type block struct {
	prefix netip.Prefix
	except []netip.Prefix
}

// resolve looks up the peers of a policy in the given namespace. No peers at all means everybody.
func (w world) resolve(policyNamespace string, from []netv1.NetworkPolicyPeer) peers {
	found := peers{everybody: len(from) == 0}
	for _, peer := range from {
		if peer.IPBlock != nil {
			found.blocks = append(found.blocks, toBlocks(*peer.IPBlock)...)
			continue
		}
		for _, p := range w.selectPods(policyNamespace, peer) {
			found.pods = append(found.pods, p.address)
		}
	}
	return found
}

// toBlocks gives the block, or nothing for one that is not IPv4.
func toBlocks(ipBlock netv1.IPBlock) []block {
	prefix, ok := ipv4Prefix(ipBlock.CIDR)
	if !ok {
		return nil
	}
	b := block{prefix: prefix}
	for _, text := range ipBlock.Except {
		if hole, ok := ipv4Prefix(text); ok {
			b.except = append(b.except, hole)
		}
	}
	return []block{b}
}

func ipv4Prefix(text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	return prefix, err == nil && prefix.Addr().Is4()
}

// matches are the nft expressions, one of which a packet has to meet; field is `ip saddr` or `ip daddr`.
func (p peers) matches(field string) []string {
	if p.everybody {
		return []string{""}
	}
	var all []string
	if len(p.pods) > 0 {
		all = append(all, fmt.Sprintf("%s %s ", field, addressSet(p.pods)))
	}
	for _, b := range p.blocks {
		match := fmt.Sprintf("%s %s ", field, b.prefix)
		// One comparison per hole, not a set: nft refuses sets whose ranges overlap.
		for _, hole := range b.except {
			match += fmt.Sprintf("%s != %s ", field, hole)
		}
		all = append(all, match)
	}
	return all
}

func (p peers) contain(address netip.Addr) bool {
	return p.everybody || slices.Contains(p.pods, address) ||
		slices.ContainsFunc(p.blocks, func(b block) bool { return b.contains(address) })
}

func (b block) contains(address netip.Addr) bool {
	inHole := slices.ContainsFunc(b.except, func(hole netip.Prefix) bool { return hole.Contains(address) })
	return b.prefix.Contains(address) && !inHole
}

// portMatches are the nft expressions, one of which a packet has to meet. No ports at all means any. Named ports are
// those of the given receiver; without a receiver, or if it has no such port, they match nothing.
func portMatches(ports []netv1.NetworkPolicyPort, receiver *corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	var all []string
	for _, port := range ports {
		switch {
		case isNamed(port):
			for _, number := range portNumbers(receiver, port) {
				all = append(all, fmt.Sprintf("%s dport %d ", protocol(port.Protocol), number))
			}
		case port.Port == nil:
			all = append(all, fmt.Sprintf("meta l4proto %s ", protocol(port.Protocol)))
		case port.EndPort != nil:
			all = append(all, fmt.Sprintf("%s dport %d-%d ", protocol(port.Protocol), port.Port.IntVal, *port.EndPort))
		default:
			all = append(all, fmt.Sprintf("%s dport %d ", protocol(port.Protocol), port.Port.IntVal))
		}
	}
	return all
}

// namedPortMatches are for egress, where every receiver may mean another number by the same name.
func (w world) namedPortMatches(destinations peers, ports []netv1.NetworkPolicyPort) []string {
	var all []string
	for _, port := range ports {
		if !isNamed(port) {
			continue
		}
		for _, p := range w.pods {
			if !destinations.contain(p.address) {
				continue
			}
			for _, number := range portNumbers(p.Pod, port) {
				all = append(all, fmt.Sprintf("ip daddr %s %s dport %d ", p.address, protocol(port.Protocol), number))
			}
		}
	}
	return all
}

func isNamed(port netv1.NetworkPolicyPort) bool {
	return port.Port != nil && port.Port.Type == intstr.String
}

// portNumbers are the numbers of the container ports that have the name and the protocol of a policy's port.
func portNumbers(receiver *corev1.Pod, named netv1.NetworkPolicyPort) []int32 {
	if receiver == nil {
		return nil
	}
	var numbers []int32
	// Init containers too: those that restart are side-cars and serve.
	for _, container := range slices.Concat(receiver.Spec.Containers, receiver.Spec.InitContainers) {
		for _, port := range container.Ports {
			if port.Name == named.Port.StrVal && protocol(&port.Protocol) == protocol(named.Protocol) {
				numbers = append(numbers, port.ContainerPort)
			}
		}
	}
	return numbers
}

// protocol is the name nft uses; TCP where Kubernetes says nothing.
func protocol(p *corev1.Protocol) string {
	if p == nil || *p == "" {
		return "tcp"
	}
	return strings.ToLower(string(*p))
}
