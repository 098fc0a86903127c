// Package pods takes the node's pods away without the help of a kubelet, through the container runtime interface
// (CRI).
//
// Ending the processes would not do: only the removal of a pod's sandbox runs the network plugins' DEL, which gives
// the address back and takes the host port rules away. A host port rule that stays wins over the next pod's.
package pods

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// removeAll removes every pod sandbox, all at the same time, and says how many are gone. Containers get SIGTERM and as
// long as grace to end, then SIGKILL. A pod that cannot be removed does not keep the others; its error names it.
func removeAll(ctx context.Context, runtime cri.RuntimeServiceClient, grace time.Duration) (removed int, err error) {
	list, err := runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		return 0, fmt.Errorf("list pods: %s", status.Convert(err).Message())
	}
	err = sideBySide(list.Items, func(sandbox *cri.PodSandbox) error {
		if err := remove(ctx, runtime, sandbox.Id, grace); err != nil {
			return fmt.Errorf("remove pod %s/%s: %w", sandbox.GetMetadata().GetNamespace(), sandbox.GetMetadata().GetName(), err)
		}
		return nil
	})
	return len(list.Items) - failures(err), err
}

// remove may be repeated, as the CRI demands of each of these calls.
func remove(ctx context.Context, runtime cri.RuntimeServiceClient, sandbox string, grace time.Duration) error {
	// A container that does not stop is killed with its sandbox, so only the sandbox's error counts.
	_ = stopContainers(ctx, runtime, sandbox, grace)
	if _, err := runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: sandbox}); err != nil {
		return err
	}
	_, err := runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: sandbox})
	return err
}

func stopContainers(ctx context.Context, runtime cri.RuntimeServiceClient, sandbox string, grace time.Duration) error {
	list, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{
		PodSandboxId: sandbox,
		State:        &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING},
	}})
	if err != nil {
		return err
	}
	seconds := int64(math.Ceil(grace.Seconds()))
	return sideBySide(list.Containers, func(container *cri.Container) error {
		_, err := runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: container.Id, Timeout: seconds})
		return err
	})
}

// sideBySide does the same to all items at once and waits for the last; the errors come joined, in the items' order.
func sideBySide[T any](items []T, do func(T) error) error {
	errs := make([]error, len(items))
	var all sync.WaitGroup
	for i, item := range items {
		all.Go(func() { errs[i] = do(item) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// failures counts what sideBySide has joined.
func failures(err error) int {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return len(joined.Unwrap())
	}
	return 0
}
