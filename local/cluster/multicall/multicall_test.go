package multicall

import (
	"slices"
	"strings"
	"testing"
)

var programs = []Program{{Name: "etcd", Summary: "the store"}, {Name: "kubelet", Summary: "runs pods"}}

func TestTheCalledNameOrTheFirstArgumentSelectsTheProgram(t *testing.T) {
	for _, test := range []struct {
		call []string
		name string
		args []string
	}{
		{[]string{"/opt/bin/kubelet", "--v=2"}, "kubelet", []string{"/opt/bin/kubelet", "--v=2"}},
		{[]string{"/slipway-cluster", "etcd", "--name", "x"}, "etcd", []string{"etcd", "--name", "x"}},
		{[]string{"kubelet", "etcd"}, "kubelet", []string{"kubelet", "etcd"}},
	} {
		program, args := Choose(programs, test.call)
		if program == nil || program.Name != test.name || !slices.Equal(args, test.args) {
			t.Errorf("%q: got %v with %q, want %s with %q", test.call, program, args, test.name, test.args)
		}
	}
}

func TestAnUnknownNameSelectsNothing(t *testing.T) {
	for _, call := range [][]string{{"slipway-cluster"}, {"slipway-cluster", "kubeadm"}, {"slipway-cluster", "--help"}} {
		if program, _ := Choose(programs, call); program != nil {
			t.Errorf("%q: got %s", call, program.Name)
		}
	}
}

func TestUsageNamesEveryProgram(t *testing.T) {
	var text strings.Builder
	Usage(&text, "slipway-cluster", programs)
	const want = "usage: slipway-cluster <component> [flags]\n\ncomponents:\n  etcd     the store\n  kubelet  runs pods\n"
	if text.String() != want {
		t.Errorf("got:\n%s", text.String())
	}
}
