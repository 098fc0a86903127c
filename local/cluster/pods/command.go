package pods

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/grpclog"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Main is the command `pods remove`. It can be repeated; with no pods left it prints 0 and succeeds. Stop the kubelet
// first, it would make the pods again.
func Main(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] != "remove" {
		return errors.New("usage: pods remove --endpoint unix:///path/of/containerd.sock [--grace 10s] [--timeout 60s]")
	}
	flags := flag.NewFlagSet("pods remove", flag.ContinueOnError)
	endpoint := flags.String("endpoint", "", "address of the container runtime, as in unix:///run/slipway/containerd.sock")
	grace := flags.Duration("grace", 10*time.Second, "how long containers may take to end by themselves (at most half of --timeout)")
	timeout := flags.Duration("timeout", time.Minute, "how long all of it may take")
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *endpoint == "" {
		return errors.New("--endpoint is missing, give the address of the container runtime, as in unix:///run/slipway/containerd.sock")
	}

	// gRPC would tell of a failed connection in its own way, too.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	connection, err := grpc.NewClient(*endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", *endpoint, err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	removed, err := removeAll(ctx, cri.NewRuntimeServiceClient(connection), min(*grace, *timeout/2))
	fmt.Printf("pods removed: %d\n", removed)
	return err
}
