// Command api serves the reviews API and its web pages. `api --help` lists its commands, ports and settings.
//
// This package parses the command line, and connects the packages below internal to one process. Everything else belongs
// there.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"slipway/app/internal/config"
)

// version is set by the linker to the hash of the source.
var version = "dev"

func main() {
	if err := run(untilSignal(), os.Args, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// untilSignal returns a context that ends at the first SIGTERM or SIGINT. The second signal exits at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		cancel()
		<-signals
		fmt.Fprintln(os.Stderr, "exited at the second signal, before all requests were finished")
		os.Exit(1)
	}()
	return ctx
}

// run executes one command. The commands that serve return after ctx has ended and the last request is finished.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	if len(args) > 1 && args[1] == "check" {
		return check(ctx, args[2:])
	}
	switch command := strings.Join(args[1:], " "); command {
	case "":
		return serve(ctx, getenv, stdout)
	case "web":
		return serveWeb(ctx, getenv, stdout)
	case "config check":
		return checkConfig(getenv, stdout)
	case "migrate":
		return migrate(ctx, getenv, stdout)
	case "version":
		_, err := fmt.Fprintln(stdout, version, runtime.Version())
		return err
	case "help", "-h", "--help":
		return help(stdout)
	default:
		return fmt.Errorf("unknown command %q: try `api --help`", command)
	}
}

func checkConfig(getenv func(string) string, stdout io.Writer) error {
	cfg, err := loadConfig(getenv)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(cfg)
}

func loadConfig(getenv func(string) string) (config.Config, error) {
	cfg, err := config.Load(getenv)
	if err != nil {
		return cfg, fmt.Errorf("the configuration is not valid:\n%w", err)
	}
	return cfg, nil
}

func help(stdout io.Writer) error {
	var text strings.Builder
	text.WriteString(`Usage:
  api                serve until SIGTERM, then drain
  api web            serve the web pages of the API at API_URL, in the same way
  api migrate        bring the schema of MYSQL_DATABASE up to date; safe to run several times at once
  api config check   show the configuration in force, or all mistakes in it (exit 1)
  api check URL      exit 0 if the response is 2xx, otherwise report it and exit 1 (--timeout 2s)
  api version
  api --help

HTTP_PORT:  /v1/users  /v1/sessions  /v1/shops  /v1/reviews  /v1/leaderboard  /v1/problems  /v1/openapi.json  /version
api web:    /  /shops  /leaders  /signup  /login  /logout  /account
ADMIN_PORT: /livez  /readyz  /startupz  /metrics  /config

Environment (default):
`)
	for _, variable := range config.Variables {
		fmt.Fprintf(&text, "  %-25s %s (%s)\n", variable.Name, variable.Meaning, cmp.Or(variable.Default, "none"))
	}
	text.WriteString(`
CONFIG_FILE (YAML, read again when it changes; a file with a mistake is refused):
  logLevel: info                      instead of LOG_LEVEL
  pageSize: {default: 20, max: 100}   items of a list
  rateLimit: {requests: 6000, logins: 60, guesses: 10}   of one client per minute; 0 means no limit
                                      (guesses: of one account's password, per ten minutes)
  notice: ""                          sent as X-Notice with every response
`)
	_, err := io.WriteString(stdout, text.String())
	return err
}
