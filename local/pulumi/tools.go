//go:build tools

// Package main pins the Pulumi command line as a dependency of this module, so that `go build` can make it.
package main

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
