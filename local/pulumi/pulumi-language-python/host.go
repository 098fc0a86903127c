package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/errutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// alreadyReported is the exit code with which the launcher says: the user has seen the error, add nothing to it.
const alreadyReported = 32

// languageHost answers the engine's calls. Calls it does not implement are answered with "unimplemented".
type languageHost struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	launcher string // path of pulumi-language-python-exec
	engine   string // the engine's address

	mutex     sync.Mutex
	cancelled bool
	programs  map[*exec.Cmd]bool // running, to be ended by Cancel
}

func (h *languageHost) Handshake(
	_ context.Context, req *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.engine = req.EngineAddress
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *languageHost) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version.Version}, nil
}

// Run runs a Pulumi program to its end.
func (h *languageHost) Run(ctx context.Context, req *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	if req.AttachDebugger {
		return nil, errors.New("--attach-debugger needs Pulumi's own Python language host")
	}
	python, err := pythonFor(req.Info)
	if err != nil {
		return nil, err
	}
	if err := python.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	cmd, err := python.Command(ctx, append([]string{h.launcher}, h.launcherArguments(req)...)...)
	if err != nil {
		return nil, err
	}
	environment, err := configEnvironment(req)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Environ(), environment...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return h.runProgram(cmd)
}

// launcherArguments must be what pulumi-language-python-exec parses.
func (h *languageHost) launcherArguments(req *pulumirpc.RunRequest) []string {
	arguments := []string{
		"--monitor", req.MonitorAddress,
		"--engine", h.engine,
		"--project", req.Project,
		"--root_directory", req.Info.RootDirectory,
		"--stack", req.Stack,
		"--organization", req.Organization,
		"--pwd", req.Pwd,
		"--parallel", strconv.Itoa(int(req.Parallel)),
		"--dry_run", strconv.FormatBool(req.DryRun),
		req.Info.EntryPoint,
	}
	return append(arguments, req.Args...)
}

// configEnvironment hands the stack's configuration to the Python SDK, which reads these two variables. Not arguments:
// everybody on the machine can read those, and there are secrets in it.
func configEnvironment(req *pulumirpc.RunRequest) ([]string, error) {
	// The SDK wants an object and an array, also when they are empty; a nil map or slice would become null.
	values := map[string]string{}
	maps.Copy(values, req.Config)
	config, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	secretKeys, err := json.Marshal(append([]string{}, req.ConfigSecretKeys...))
	if err != nil {
		return nil, fmt.Errorf("encode secret configuration keys: %w", err)
	}
	return []string{"PULUMI_CONFIG=" + string(config), "PULUMI_CONFIG_SECRET_KEYS=" + string(secretKeys)}, nil
}

func (h *languageHost) runProgram(cmd *exec.Cmd) (*pulumirpc.RunResponse, error) {
	if err := h.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	err := cmd.Wait()
	cancelled := h.ended(cmd)

	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case cancelled:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case !errors.As(err, &exit):
		return nil, fmt.Errorf("run %s: %w", cmd.Path, err)
	case exit.ExitCode() == alreadyReported:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case exit.Exited():
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("the Python program ended with exit code %d", exit.ExitCode())}, nil
	default:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("the Python program was ended by a signal: %v", exit)}, nil
	}
}

func (h *languageHost) start(cmd *exec.Cmd) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	if h.programs == nil {
		h.programs = map[*exec.Cmd]bool{}
	}
	h.programs[cmd] = true
	return nil
}

// ended forgets the program and tells whether it was cancelled.
func (h *languageHost) ended(cmd *exec.Cmd) bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.programs, cmd)
	return h.cancelled
}

// Cancel ends running programs: the user pressed Ctrl-C. Plugins stay, the engine still needs them to finish what it
// has begun.
func (h *languageHost) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.cancelled = true
	for cmd := range h.programs {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	return &emptypb.Empty{}, nil
}

// RunPlugin runs a policy pack, or another plugin that is written in Python, until the engine ends the call.
func (h *languageHost) RunPlugin(
	req *pulumirpc.RunPluginRequest, stream grpc.ServerStreamingServer[pulumirpc.RunPluginResponse],
) error {
	if req.AttachDebugger {
		return errors.New("--attach-debugger needs Pulumi's own Python language host")
	}
	python, err := pythonFor(req.Info)
	if err != nil {
		return err
	}
	if err := python.ValidateVenv(stream.Context()); err != nil {
		return err
	}
	cmd, err := python.Command(stream.Context(), pluginArguments(req)...)
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(stream, false)
	if err != nil {
		return err
	}
	defer closer.Close() //nolint:errcheck // closed below when it matters

	cmd.Dir, cmd.Stdout, cmd.Stderr = req.Pwd, stdout, stderr
	cmd.Env = req.Env
	if venv, err := python.VirtualEnvPath(stream.Context()); err == nil && venv != "" {
		cmd.Env = toolchain.ActivateVirtualEnv(req.Env, venv)
	}
	// Leave a plugin the time to end by itself before it is killed.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second

	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		code := &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(exit.ExitCode())}
		return stream.Send(&pulumirpc.RunPluginResponse{Output: code})
	} else if err != nil {
		return fmt.Errorf("run %s: %w", cmd.Path, err)
	}
	return closer.Close()
}

// pluginArguments: unbuffered (-u), because the engine waits for the port a plugin prints.
func pluginArguments(req *pulumirpc.RunPluginRequest) []string {
	directory := req.Info.ProgramDirectory
	if req.Kind == "analyzer" {
		return append(append([]string{"-u", "-m", "pulumi.policy"}, req.Args...), directory)
	}
	if _, err := os.Stat(filepath.Join(directory, "__main__.py")); err != nil {
		if project, err := toolchain.LoadPyproject(directory); err == nil && project.Project != nil {
			return append([]string{"-u", "-m", "pulumi.run.plugin", project.Project.Name}, req.Args...)
		}
	}
	return append([]string{"-u", directory}, req.Args...)
}

// InstallDependencies makes the virtual environment and installs requirements.txt, pyproject.toml or a lock file.
func (h *languageHost) InstallDependencies(
	req *pulumirpc.InstallDependenciesRequest, stream grpc.ServerStreamingServer[pulumirpc.InstallDependenciesResponse],
) error {
	python, err := pythonFor(req.Info)
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(stream, req.IsTerminal)
	if err != nil {
		return err
	}
	err = python.InstallDependencies(
		stream.Context(), req.Info.ProgramDirectory, req.UseLanguageVersionTools, true, stdout, stderr)
	return errors.Join(err, closer.Close())
}

// About tells which Python is used. The engine asks on every command, so it is one short process.
func (h *languageHost) About(ctx context.Context, req *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	python, err := pythonFor(req.Info)
	if err != nil {
		return nil, err
	}
	cmd, err := python.Command(ctx, "-IS", "-c", "import sys, platform; print(platform.python_version(), sys.executable)")
	if err != nil {
		return nil, err
	}
	output, err := cmd.Output()
	if err != nil {
		return nil, errutil.ErrorWithStderr(err, "ask Python for its version")
	}
	pythonVersion, executable, _ := strings.Cut(strings.TrimSpace(string(output)), " ")
	return &pulumirpc.AboutResponse{Executable: executable, Version: pythonVersion}, nil
}

// pythonFor finds the Python of a project by the options under `runtime` in its Pulumi.yaml. Without options, that is
// the python3 on PATH.
func pythonFor(info *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	options := toolchain.PythonOptions{Root: info.GetRootDirectory(), ProgramDir: info.GetProgramDirectory()}
	for key, value := range info.GetOptions().AsMap() {
		text, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("Pulumi.yaml: runtime.options.%s is %v, but must be a string", key, value)
		}
		switch {
		case key == "virtualenv":
			options.Virtualenv = text
		case key == "toolchain" && text == "pip":
			options.Toolchain = toolchain.Pip
		case key == "toolchain" && text == "uv":
			options.Toolchain = toolchain.Uv
		case key == "toolchain" && text == "poetry":
			options.Toolchain = toolchain.Poetry
		case key == "toolchain":
			return nil, fmt.Errorf("Pulumi.yaml: runtime.options.toolchain is %q, but must be pip, uv or poetry", text)
		default:
			return nil, fmt.Errorf("Pulumi.yaml: runtime.options.%s needs Pulumi's own Python language host", key)
		}
	}
	return toolchain.ResolveToolchain(options)
}
