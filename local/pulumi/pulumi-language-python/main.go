// pulumi-language-python runs Pulumi programs written in Python: the engine starts it and asks it, over gRPC, to run
// the program, to run policy packs, and to tell which provider plugins the program needs.
//
// Pulumi's own host is not in a module that the Go proxy serves. This one stands in for it where only package
// registries can be reached. It does what the engine asks for on up, preview, refresh, destroy, about and install;
// code generation (convert, package add) is left to the official host.
//
// The script pulumi-language-python-exec must lie in the same folder as this program.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

func main() {
	if err := run(os.Args, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-language-python: %v\n", err)
		os.Exit(1)
	}
}

// run serves until the engine sends a signal or goes away.
func run(args []string, stdin io.Reader, stdout io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		// The engine holds the other end of our standard input, and never writes to it. When it is killed, the
		// pipe closes: then we must end too, and take the Python processes with us.
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()

	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own folder: %w", err)
	}
	host := &languageHost{launcher: filepath.Join(filepath.Dir(self), "pulumi-language-python-exec")}
	if _, err := os.Stat(host.launcher); err != nil {
		return fmt.Errorf("the script that starts Python programs is missing: %w", err)
	}
	if len(args) > 1 {
		// The engine puts its address last, after logging flags.
		host.engine = args[len(args)-1]
	}

	var server *grpc.Server
	serving, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Init: func(s *grpc.Server) error {
			server = s
			pulumirpc.RegisterLanguageRuntimeServer(s, host)
			return nil
		},
		Options: rpcutil.TracingServerInterceptorOptions(nil),
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, serving.Port); err != nil {
		return fmt.Errorf("tell the engine our port: %w", err)
	}

	select {
	case err = <-serving.Done:
		return err
	case <-ctx.Done():
		// Stop, not GracefulStop: it ends the contexts of the calls being served, and with them their processes.
		server.Stop()
		if err := <-serving.Done; !errors.Is(err, grpc.ErrServerStopped) {
			return err
		}
		return nil
	}
}
