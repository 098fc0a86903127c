package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	// Pods run FROM scratch: the time zone database has to come with the binary.
	_ "time/tzdata"

	"github.com/coredns/coredns/coremain"
	"github.com/spf13/cobra"
	etcdversion "go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/server/v3/etcdmain"
	genericapiserver "k8s.io/apiserver/pkg/server"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/component-base/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	metricsserver "sigs.k8s.io/metrics-server/cmd/metrics-server/app"

	"slipway/cluster/multicall"
	"slipway/cluster/netpol"
	"slipway/cluster/pods"
	"slipway/cluster/ports"
)

var components = []multicall.Program{
	{Name: "etcd", Summary: "the cluster's store", Run: runEtcd},
	{Name: "kube-apiserver", Summary: "the Kubernetes API", Run: cobraProgram(apiserver.NewAPIServerCommand)},
	{Name: "kube-controller-manager", Summary: "controllers of deployments, jobs, …", Run: cobraProgram(controllermanager.NewControllerManagerCommand)},
	{Name: "kube-scheduler", Summary: "places pods", Run: cobraProgram(newScheduler)},
	{Name: "kubelet", Summary: "runs the node's pods", Run: cobraProgram(newKubelet)},
	{Name: "kube-proxy", Summary: "services to pods", Run: cobraProgram(proxy.NewProxyCommand)},
	{Name: "kubectl", Summary: "the Kubernetes command line", Run: runKubectl},
	{Name: "coredns", Summary: "names inside the cluster", Run: runCoreDNS},
	{Name: "metrics-server", Summary: "kubectl top, autoscaling", Run: runMetricsServer},
	{Name: "netpol", Summary: "enforces NetworkPolicy on this node", Run: untilStopped(netpol.Main)},
	{Name: "ports", Summary: "Services on addresses of the node", Run: untilStopped(ports.Main)},
	{Name: "pods", Summary: "removes the node's pods without a kubelet", Run: untilStopped(pods.Main)},
	{Name: "version", Summary: "prints what is inside", Run: printVersion},
}

// cobraProgram makes the command only when it is run: making one registers flags and metrics.
func cobraProgram(newCommand func() *cobra.Command) func() error {
	return func() error {
		os.Exit(cli.Run(newCommand()))
		return nil
	}
}

func newScheduler() *cobra.Command { return scheduler.NewSchedulerCommand() }

func newKubelet() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }

func runEtcd() error {
	etcdmain.Main(os.Args)
	return nil
}

func runKubectl() error {
	logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
	return nil
}

func runCoreDNS() error {
	coremain.Run()
	return nil
}

func runMetricsServer() error {
	logs.InitLogs()
	defer logs.FlushLogs()
	return metricsserver.NewMetricsServerCommand(genericapiserver.SetupSignalHandler()).Execute()
}

// untilStopped is for programs of our own; SIGTERM and SIGINT end their context.
func untilStopped(program func(ctx context.Context, args []string) error) func() error {
	return func() error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		return program(ctx, os.Args[1:])
	}
}

func printVersion() error {
	fmt.Printf("%s: Kubernetes %s, etcd %s, CoreDNS %s\n",
		binaryName, version.Get().GitVersion, etcdversion.Version, coremain.CoreVersion)
	return nil
}
