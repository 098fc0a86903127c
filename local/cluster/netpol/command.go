package netpol

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Main is the command `netpol`. It ends with ctx and leaves the rules in force, so that an agent that restarts or
// dies opens nothing; `--cleanup` takes them away.
func Main(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("netpol", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server (default: as a pod does)")
	cleanup := flags.Bool("cleanup", false, "remove all rules and exit; needs no API server")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *cleanup {
		return nft(ctx, dropTable)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	run(ctx, client, nft)
	return nil
}

// nft executes commands in one transaction: all of them, or none and an error.
func nft(ctx context.Context, commands string) error {
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = strings.NewReader(commands)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, bytes.TrimSpace(output))
	}
	return nil
}
