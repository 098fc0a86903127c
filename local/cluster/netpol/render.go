// Package netpol enforces networking.k8s.io/v1 NetworkPolicy on this node with one nftables table.
//
// Render turns what the API server knows into the table's text; Agent loads a new text whenever that knowledge
// changes.
//
// Every packet that a connection's opener sends is judged anew, replies are let through: a policy that forbids a
// connection also cuts the one that is open. Traffic from the node itself (probes, host ports on loopback) passes the
// output hook, which has no rules, so it is always allowed. Traffic of a pod to its own node is held to the pod's
// egress rules, although Kubernetes would let it pass: the API server sits on this very node, in a real cluster it
// does not, and a missing rule should show here first.
//
// Not covered: IPv6. A pod is isolated from the moment the API server knows its address, about a second after its
// start.
package netpol

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
)

// State is what decides about traffic; the order of the slices does not matter.
type State struct {
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	Policies   []*netv1.NetworkPolicy
}

const tableName = "inet slipway_netpol"

// dropTable succeeds whether or not the table is there: declared first, then deleted.
const dropTable = "table " + tableName + "\ndelete table " + tableName + "\n"

// The hooks of the table. Addresses are those of pods, not of services: kube-proxy translates before (dstnat, -100)
// the forward and input hooks. A verdict map holds the isolated pods and the chain that decides for each.
const hooks = `	chain forward {
		type filter hook forward priority filter - 5; policy accept;
		ct direction reply accept
		ct state related accept
		ip saddr vmap @egress
		ip daddr vmap @ingress
	}
	chain input {
		type filter hook input priority filter - 5; policy accept;
		ct direction reply accept
		ct state related accept
		ip saddr vmap @egress
	}
`

// Render gives the commands for `nft -f` that replace the table in one transaction. The same State gives the same
// text.
func Render(state State) string {
	world := newWorld(state)
	var chains strings.Builder
	ingress, egress := verdictMap{name: "ingress"}, verdictMap{name: "egress"}
	for _, pod := range world.pods {
		if rules, isolated := world.ingressRules(pod); isolated {
			ingress.add(pod.address, writeChain(&chains, "ingress", pod, rules))
		}
		if rules, isolated := world.egressRules(pod); isolated {
			egress.add(pod.address, writeChain(&chains, "egress", pod, rules))
		}
	}
	return dropTable + "table " + tableName + " {\n" + chains.String() + ingress.text() + egress.text() + hooks + "}\n"
}

// writeChain writes the chain that decides about one pod and gives its name. `return` lets the packet go on to the
// next verdict map: it has to be allowed by the sender's egress and by the receiver's ingress.
func writeChain(w *strings.Builder, direction string, pod pod, rules []rule) string {
	name := fmt.Sprintf("%s-%s", direction, pod.address)
	fmt.Fprintf(w, "\tchain %s { # %s/%s\n", name, pod.Namespace, pod.Name)
	for _, r := range rules {
		fmt.Fprintf(w, "\t\t%sreturn comment %q\n", r.match, comment(r.policy))
	}
	w.WriteString("\t\tcounter drop\n\t}\n")
	return name
}

// comment keeps within the 127 bytes that nft allows.
func comment(text string) string { return text[:min(len(text), 127)] }

// verdictMap sends a packet to a pod's chain by the pod's address.
type verdictMap struct {
	name     string
	elements []string
}

func (m *verdictMap) add(address netip.Addr, chain string) {
	m.elements = append(m.elements, fmt.Sprintf("%s : jump %s", address, chain))
}

func (m *verdictMap) text() string {
	elements := ""
	if len(m.elements) > 0 {
		elements = "\t\telements = {\n\t\t\t" + strings.Join(m.elements, ",\n\t\t\t") + "\n\t\t}\n"
	}
	return fmt.Sprintf("\tmap %s {\n\t\ttype ipv4_addr : verdict\n%s\t}\n", m.name, elements)
}

// addressSet is an nft expression for any of the addresses, in a stable order.
func addressSet(addresses []netip.Addr) string {
	sorted := slices.Clone(addresses)
	slices.SortFunc(sorted, netip.Addr.Compare)
	sorted = slices.Compact(sorted)
	if len(sorted) == 1 {
		return sorted[0].String()
	}
	var texts []string
	for _, address := range sorted {
		texts = append(texts, address.String())
	}
	return "{ " + strings.Join(texts, ", ") + " }"
}
