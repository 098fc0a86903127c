// pause holds the namespaces of one pod open, and nothing else.
//
// A program of its own rather than a component of slipway-cluster: one runs in every pod, and the start-up code of the
// Kubernetes packages alone takes tens of megabytes. Standard library only, no fmt, for the same reason.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	// Children can have been orphaned before the handler stood.
	reap()
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		reap()
	}
}

// reap collects every child that has ended: with shareProcessNamespace this process is PID 1 and inherits the orphans
// of all containers.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 {
			return
		}
	}
}
