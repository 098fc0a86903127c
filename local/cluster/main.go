// slipway-cluster is every program of the local Kubernetes node in one binary: the processes share its text pages,
// and one link takes a fraction of the time that nine take.
package main

import (
	"fmt"
	"os"

	"slipway/cluster/multicall"
)

const binaryName = "slipway-cluster"

func main() {
	program, args := multicall.Choose(components, os.Args)
	if program == nil {
		multicall.Usage(os.Stderr, binaryName, components)
		os.Exit(2)
	}
	os.Args = args
	if err := program.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "%s %s: %v\n", binaryName, program.Name, err)
		os.Exit(1)
	}
}
