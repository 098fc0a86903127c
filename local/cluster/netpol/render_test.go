package netpol

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// The cluster of the cases below. The expected results come from the NetworkPolicy reference,
// kubernetes.io/docs/concepts/services-networking/network-policies/.
var addresses = map[string]string{
	"shop/api":    "10.244.0.10",
	"shop/web":    "10.244.0.11",
	"tools/web":   "10.244.0.21",
	"tools/debug": "10.244.0.22",
	"kube/dns":    "10.244.0.30",
	"node":        "192.168.1.5",
}

func testState(policies ...string) State {
	state := State{
		Namespaces: []*corev1.Namespace{namespace("shop", "team", "shop"), namespace("tools", "team", "tools"), namespace("kube", "team", "infra")},
		Pods: []*corev1.Pod{
			runningPod("shop/api", "app", "api").serving("http", 8080, "TCP").serving("telemetry", 9000, "UDP").Pod,
			runningPod("shop/web", "app", "web").serving("http", 3000, "TCP").Pod,
			runningPod("tools/web", "app", "web").serving("http", 8088, "TCP").Pod,
			runningPod("tools/debug", "app", "debug").Pod,
			runningPod("kube/dns", "app", "dns").serving("dns", 53, "UDP").serving("dns-tcp", 53, "TCP").Pod,
		},
	}
	for _, text := range policies {
		state.Policies = append(state.Policies, policy(text))
	}
	return state
}

// policy returns a NetworkPolicy named "policy" in the namespace shop with the given YAML as spec.
func policy(spec string) *netv1.NetworkPolicy {
	p := &netv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "policy"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		panic(err)
	}
	return p
}

func namespace(name string, key, value string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{key: value}}}
}

type testPod struct{ *corev1.Pod }

func runningPod(fullName, key, value string) testPod {
	space, name, _ := strings.Cut(fullName, "/")
	return testPod{&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: name, Labels: map[string]string{key: value}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: addresses[fullName]}}},
	}}
}

func (p testPod) serving(name string, number int32, protocol corev1.Protocol) testPod {
	main := &p.Spec.Containers[0]
	main.Ports = append(main.Ports, corev1.ContainerPort{Name: name, ContainerPort: number, Protocol: protocol})
	return p
}

func TestAllowedAndDeniedConnections(t *testing.T) {
	for _, test := range []struct {
		promise  string
		policies []string
		passes   []string
		dropped  []string
	}{
		{
			promise: "without policies everything passes",
			passes:  []string{"tools/debug -> shop/api:8080", "shop/api -> 203.0.113.7:443", "203.0.113.7 -> shop/api:8080"},
		},
		{
			promise:  "an empty pod selector isolates the whole namespace and no other",
			policies: []string{`{podSelector: {}, policyTypes: [Ingress]}`},
			passes:   []string{"shop/api -> tools/web:80", "tools/debug -> tools/web:80", "shop/api -> 203.0.113.7:443"},
			dropped:  []string{"shop/web -> shop/api:8080", "tools/web -> shop/web:3000", "203.0.113.7 -> shop/api:8080"},
		},
		{
			promise:  "a pod always reaches itself",
			policies: []string{`{podSelector: {}, policyTypes: [Ingress, Egress]}`},
			passes:   []string{"shop/api -> shop/api:8080"},
			dropped:  []string{"shop/api -> shop/web:3000"},
		},
		{
			promise:  "without policyTypes a policy isolates for ingress, and not for egress if it has no egress rules",
			policies: []string{`{podSelector: {matchLabels: {app: api}}}`},
			passes:   []string{"shop/api -> 203.0.113.7:443"},
			dropped:  []string{"shop/web -> shop/api:8080"},
		},
		{
			promise:  "without policyTypes egress rules isolate for egress too",
			policies: []string{`{podSelector: {matchLabels: {app: api}}, egress: [{to: [{podSelector: {}}]}]}`},
			passes:   []string{"shop/api -> shop/web:3000"},
			dropped:  []string{"shop/api -> 203.0.113.7:443", "shop/web -> shop/api:8080"},
		},
		{
			promise:  "policyTypes [Egress] leaves ingress alone, even with ingress rules",
			policies: []string{`{podSelector: {matchLabels: {app: api}}, policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}]}`},
			passes:   []string{"tools/debug -> shop/api:8080"},
			dropped:  []string{"shop/api -> shop/web:3000"},
		},
		{
			promise:  "a rule without from and ports lets everybody in",
			policies: []string{`{podSelector: {}, ingress: [{}]}`},
			passes:   []string{"tools/debug -> shop/api:8080", "203.0.113.7 -> shop/api:9000/udp"},
		},
		{
			promise:  "a rule with an empty from lets everybody in",
			policies: []string{`{podSelector: {}, ingress: [{from: [], ports: [{port: 8080}]}]}`},
			passes:   []string{"203.0.113.7 -> shop/api:8080"},
			dropped:  []string{"203.0.113.7 -> shop/api:8081", "203.0.113.7 -> shop/api:8080/udp"},
		},
		{
			promise:  "a rule without to lets out to everybody",
			policies: []string{`{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}`},
			passes:   []string{"shop/api -> kube/dns:53/udp", "shop/api -> 203.0.113.7:53/udp"},
			dropped:  []string{"shop/api -> kube/dns:53", "shop/api -> 203.0.113.7:443"},
		},
		{
			promise:  "a podSelector alone means pods of the policy's namespace",
			policies: []string{`{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`},
			passes:   []string{"shop/web -> shop/api:8080"},
			dropped:  []string{"tools/web -> shop/api:8080", "tools/debug -> shop/api:8080"},
		},
		{
			promise:  "a namespaceSelector alone means all pods of those namespaces",
			policies: []string{`{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: tools}}}]}]}`},
			passes:   []string{"tools/web -> shop/api:8080", "tools/debug -> shop/api:8080"},
			dropped:  []string{"shop/web -> shop/api:8080", "kube/dns -> shop/api:8080"},
		},
		{
			promise:  "an empty namespaceSelector means all pods of the cluster but nobody outside",
			policies: []string{`{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {}}]}]}`},
			passes:   []string{"tools/web -> shop/api:8080", "kube/dns -> shop/api:8080"},
			dropped:  []string{"203.0.113.7 -> shop/api:8080"},
		},
		{
			promise: "both selectors in one peer: the pod and its namespace have to match",
			policies: []string{`{podSelector: {matchLabels: {app: api}}, ingress: [{from: [
				{namespaceSelector: {matchLabels: {team: tools}}, podSelector: {matchLabels: {app: web}}}]}]}`},
			passes:  []string{"tools/web -> shop/api:8080"},
			dropped: []string{"tools/debug -> shop/api:8080", "shop/web -> shop/api:8080"},
		},
		{
			promise: "the same selectors in two peers: either may match",
			policies: []string{`{podSelector: {matchLabels: {app: api}}, ingress: [{from: [
				{namespaceSelector: {matchLabels: {team: tools}}}, {podSelector: {matchLabels: {app: web}}}]}]}`},
			passes:  []string{"tools/web -> shop/api:8080", "tools/debug -> shop/api:8080", "shop/web -> shop/api:8080"},
			dropped: []string{"kube/dns -> shop/api:8080"},
		},
		{
			promise:  "matchExpressions select as labels do",
			policies: []string{`{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}, policyTypes: [Ingress]}`},
			passes:   []string{"tools/debug -> shop/web:3000"},
			dropped:  []string{"tools/debug -> shop/api:8080"},
		},
		{
			promise: "an address block lets in what is inside but not in a hole, holes may overlap",
			policies: []string{`{podSelector: {}, ingress: [{from: [
				{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.128/25, 203.0.113.192/26, 203.0.113.7/32]}}]}]}`},
			passes:  []string{"203.0.113.8 -> shop/api:8080"},
			dropped: []string{"203.0.113.7 -> shop/api:8080", "203.0.113.130 -> shop/api:8080", "203.0.113.200 -> shop/api:8080", "198.51.100.1 -> shop/api:8080", "shop/web -> shop/api:8080"},
		},
		{
			promise:  "an address block for egress, its base address need not be clean",
			policies: []string{`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.77/24}}], ports: [{port: 443}]}]}`},
			passes:   []string{"shop/api -> 203.0.113.7:443"},
			dropped:  []string{"shop/api -> 203.0.113.7:80", "shop/api -> 198.51.100.1:443"},
		},
		{
			promise:  "an IPv6 block lets no IPv4 in",
			policies: []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::/0"}}]}]}`},
			dropped:  []string{"203.0.113.7 -> shop/api:8080"},
		},
		{
			promise:  "a port without a number means all ports of its protocol",
			policies: []string{`{podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}`},
			passes:   []string{"shop/web -> shop/api:9000/udp", "shop/web -> shop/api:1/udp"},
			dropped:  []string{"shop/web -> shop/api:8080"},
		},
		{
			promise:  "a port range holds its ends, ranges may overlap",
			policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 8080}, {port: 8050, endPort: 8090}]}]}`},
			passes:   []string{"shop/web -> shop/api:8000", "shop/web -> shop/api:8060", "shop/web -> shop/api:8090"},
			dropped:  []string{"shop/web -> shop/api:7999", "shop/web -> shop/api:8091"},
		},
		{
			promise:  "SCTP is a protocol like the others",
			policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 5000, protocol: SCTP}]}]}`},
			passes:   []string{"shop/web -> shop/api:5000/sctp"},
			dropped:  []string{"shop/web -> shop/api:5000"},
		},
		{
			promise:  "a named port for ingress is the receiver's own number",
			policies: []string{`{podSelector: {}, ingress: [{ports: [{port: http}]}]}`},
			passes:   []string{"tools/web -> shop/api:8080", "tools/web -> shop/web:3000"},
			dropped:  []string{"tools/web -> shop/api:3000", "tools/web -> shop/web:8080", "tools/web -> shop/api:9000/udp"},
		},
		{
			promise:  "a named port counts only with its protocol",
			policies: []string{`{podSelector: {}, ingress: [{ports: [{port: telemetry}, {port: http, protocol: UDP}]}]}`},
			dropped:  []string{"tools/web -> shop/api:9000", "tools/web -> shop/api:9000/udp", "tools/web -> shop/api:8080/udp"},
		},
		{
			promise:  "a named port nobody has lets nothing in, it does not let all in",
			policies: []string{`{podSelector: {}, ingress: [{ports: [{port: nobody}]}]}`},
			dropped:  []string{"tools/web -> shop/api:8080"},
		},
		{
			promise:  "a named port for egress is each receiver's number, not just anybody's",
			policies: []string{`{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: http}]}]}`},
			passes:   []string{"shop/web -> shop/api:8080"},
			dropped:  []string{"shop/web -> shop/api:3000", "shop/web -> tools/web:8088", "shop/web -> 203.0.113.7:8080"},
		},
		{
			promise:  "a named port for egress to everybody means all pods that have it",
			policies: []string{`{podSelector: {matchLabels: {app: api}}, policyTypes: [Egress], egress: [{ports: [{port: dns, protocol: UDP}]}]}`},
			passes:   []string{"shop/api -> kube/dns:53/udp"},
			dropped:  []string{"shop/api -> 203.0.113.7:53/udp", "shop/api -> kube/dns:53"},
		},
		{
			promise:  "a named port for egress to an address block means the pods inside",
			policies: []string{`{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.244.0.0/28}}], ports: [{port: http}]}]}`},
			passes:   []string{"shop/web -> shop/api:8080"},
			dropped:  []string{"shop/web -> 10.244.0.9:8080", "shop/web -> tools/web:8088"},
		},
		{
			promise: "several policies add up",
			policies: []string{
				`{podSelector: {}, policyTypes: [Ingress, Egress]}`,
				`{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`,
				`{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: tools}}}], ports: [{port: 8080}]}]}`,
				`{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}`,
			},
			passes:  []string{"shop/web -> shop/api:8080", "tools/debug -> shop/api:8080"},
			dropped: []string{"tools/debug -> shop/api:8081", "shop/api -> shop/web:3000", "tools/debug -> shop/web:3000"},
		},
		{
			promise: "a connection needs the sender's egress and the receiver's ingress",
			policies: []string{
				`{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}`,
				`{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}`,
			},
			dropped: []string{"shop/web -> shop/api:8080"},
		},
	} {
		t.Run(test.promise, func(t *testing.T) {
			rules := Render(testState(test.policies...))
			parsed := parse(t, rules)
			for _, connection := range test.passes {
				if !parsed.passes("forward", opening(t, connection, addresses)) {
					t.Errorf("%s is dropped, it should pass", connection)
				}
			}
			for _, connection := range test.dropped {
				if parsed.passes("forward", opening(t, connection, addresses)) {
					t.Errorf("%s passes, it should be dropped", connection)
				}
			}
			if t.Failed() {
				t.Log(rules)
			}
			checkSyntax(t, rules)
		})
	}
}

// checkSyntax checks the rules with nft, where it is installed and permitted.
func checkSyntax(t *testing.T, rules string) {
	t.Helper()
	if !nftWorks() {
		return
	}
	check := exec.Command("nft", "--check", "--file", "-")
	check.Stdin = strings.NewReader(rules)
	if output, err := check.CombinedOutput(); err != nil {
		t.Errorf("nft refuses the rules: %v: %s\n%s", err, output, rules)
	}
}

func nftWorks() bool { return exec.Command("nft", "list", "tables").Run() == nil }

func TestTheRulesAreReadable(t *testing.T) {
	rules := Render(testState(`{
		podSelector: {matchLabels: {app: api}},
		policyTypes: [Ingress, Egress],
		ingress: [{from: [{podSelector: {matchLabels: {app: web}}}, {namespaceSelector: {matchLabels: {team: tools}}}], ports: [{port: http}]}],
		egress: [{to: [{ipBlock: {cidr: 192.168.0.0/16, except: [192.168.9.0/24]}}], ports: [{port: 3306}]}]}`))
	const want = `table inet slipway_netpol
delete table inet slipway_netpol
table inet slipway_netpol {
	chain ingress-10.244.0.10 { # shop/api
		ip saddr 10.244.0.10 return comment "itself"
		ip saddr { 10.244.0.11, 10.244.0.21, 10.244.0.22 } tcp dport 8080 return comment "policy"
		counter drop
	}
	chain egress-10.244.0.10 { # shop/api
		ip daddr 10.244.0.10 return comment "itself"
		ip daddr 192.168.0.0/16 ip daddr != 192.168.9.0/24 tcp dport 3306 return comment "policy"
		counter drop
	}
	map ingress {
		type ipv4_addr : verdict
		elements = {
			10.244.0.10 : jump ingress-10.244.0.10
		}
	}
	map egress {
		type ipv4_addr : verdict
		elements = {
			10.244.0.10 : jump egress-10.244.0.10
		}
	}
	chain forward {
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
}
`
	if rules != want {
		t.Errorf("got:\n%s", rules)
	}
}

func TestTheSameStateInAnotherOrderGivesTheSameRules(t *testing.T) {
	state := testState(`{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}`, `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}`)
	state.Policies[1].Name = "second"
	want := Render(state)
	for range 20 { // a map's order would show here
		state.Pods = append(state.Pods[1:], state.Pods[0])
		state.Policies[0], state.Policies[1] = state.Policies[1], state.Policies[0]
		if got := Render(state); got != want {
			t.Fatalf("got:\n%s\nwant:\n%s", got, want)
		}
	}
}

const denyAll = `{podSelector: {}, policyTypes: [Ingress, Egress]}`

func TestRepliesPassAndLaterPacketsOfTheClientAreStillChecked(t *testing.T) {
	before := parse(t, Render(testState(`{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {}}]}]}`)))
	after := parse(t, Render(testState(`{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}`)))
	request := opening(t, "shop/web -> shop/api:8080", addresses)
	answer := packet{from: request.to, to: request.from, protocol: "tcp", port: 40000, reply: true}
	if !before.passes("forward", request) || !before.passes("forward", answer) {
		t.Error("an allowed connection does not work in both directions")
	}
	if after.passes("forward", request) {
		t.Error("an open connection goes on after the policy forbids it")
	}
	if denied := parse(t, Render(testState(denyAll))); !denied.passes("forward", answer) {
		t.Error("an isolated pod cannot answer")
	}
}

func TestEgressRulesApplyToTheNodeToo(t *testing.T) {
	rules := parse(t, Render(testState(`{podSelector: {matchLabels: {app: api}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.168.1.5/32}}], ports: [{port: 6443}]}]}`)))
	for connection, passes := range map[string]bool{"shop/api -> node:6443": true, "shop/api -> node:22": false, "shop/web -> node:22": true} {
		if rules.passes("input", opening(t, connection, addresses)) != passes {
			t.Errorf("%s: passes should be %v", connection, passes)
		}
	}
}

func TestTheNodeReachesIsolatedPods(t *testing.T) {
	rules := Render(testState(denyAll))
	if strings.Contains(rules, "hook output") {
		t.Error("rules in the output hook would hold up the kubelet's probes")
	}
	probeAnswer := packet{from: address(t, "shop/api", addresses), to: address(t, "node", addresses), protocol: "tcp", port: 40000, reply: true}
	if !parse(t, rules).passes("input", probeAnswer) {
		t.Error("an isolated pod cannot answer a probe")
	}
}

func TestPodsWithoutTheirOwnAddressAreNeitherIsolatedNorPeers(t *testing.T) {
	for what, change := range map[string]func(*corev1.Pod){
		"on the host network": func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"that succeeded":      func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded },
		"that failed":         func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed },
		"with IPv6 only":      func(p *corev1.Pod) { p.Status.PodIPs = []corev1.PodIP{{IP: "fd00::1"}} },
		"without an address":  func(p *corev1.Pod) { p.Status.PodIPs = nil },
	} {
		t.Run(what, func(t *testing.T) {
			state := testState(`{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`)
			change(state.Pods[1])
			rules := Render(state)
			if strings.Contains(rules, addresses["shop/web"]) || strings.Contains(rules, "fd00") {
				t.Errorf("shop/web is in the rules:\n%s", rules)
			}
			if !strings.Contains(rules, addresses["shop/api"]) {
				t.Errorf("shop/api is not in the rules:\n%s", rules)
			}
		})
	}
}

func TestAnAddressBelongsToTheNewestPodThatHasIt(t *testing.T) {
	state := testState(`{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}`)
	heir := runningPod("tools/heir", "app", "heir").Pod
	heir.Status.PodIPs = []corev1.PodIP{{IP: addresses["shop/api"]}}
	heir.CreationTimestamp = metav1.NewTime(time.Now())
	state.Pods = append(state.Pods, heir)
	if rules := parse(t, Render(state)); !rules.passes("forward", opening(t, "tools/debug -> shop/api:8080", addresses)) {
		t.Error("tools/heir is held to the policies of the pod that had its address before")
	}
}

func TestALongPolicyNameFitsIntoAComment(t *testing.T) {
	state := testState(`{podSelector: {}, ingress: [{}]}`)
	state.Policies[0].Name = strings.Repeat("long-", 50)
	checkSyntax(t, Render(state))
	if !strings.Contains(Render(state), `comment "long-`) || strings.Contains(Render(state), strings.Repeat("long-", 26)) {
		t.Error("the name is not cut")
	}
}
