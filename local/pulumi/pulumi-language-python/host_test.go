package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/structpb"
)

func projectWith(t *testing.T, options map[string]any) *pulumirpc.ProgramInfo {
	t.Helper()
	fields, err := structpb.NewStruct(options)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	return &pulumirpc.ProgramInfo{RootDirectory: root, ProgramDirectory: root, EntryPoint: ".", Options: fields}
}

func TestConfigurationNeverReachesTheCommandLine(t *testing.T) {
	req := &pulumirpc.RunRequest{
		Info:             projectWith(t, nil),
		Config:           map[string]string{"app:token": "hunter2"},
		ConfigSecretKeys: []string{"app:token"},
	}
	if arguments := strings.Join((&languageHost{}).launcherArguments(req), " "); strings.Contains(arguments, "hunter2") {
		t.Errorf("a secret is in the arguments: %s", arguments)
	}
	environment, err := configEnvironment(req)
	if err != nil {
		t.Fatal(err)
	}
	want := `PULUMI_CONFIG={"app:token":"hunter2"} PULUMI_CONFIG_SECRET_KEYS=["app:token"]`
	if got := strings.Join(environment, " "); got != want {
		t.Errorf("environment is %s, want %s", got, want)
	}
}

func TestAnEmptyConfigurationIsAnEmptyObject(t *testing.T) {
	environment, err := configEnvironment(&pulumirpc.RunRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(environment, " "); got != "PULUMI_CONFIG={} PULUMI_CONFIG_SECRET_KEYS=[]" {
		t.Errorf("environment is %s", got)
	}
}

func TestUnsupportedRuntimeOptionsAreReported(t *testing.T) {
	for option, value := range map[string]any{"toolchain": "conda", "typechecker": "mypy", "virtualenv": 3.0} {
		_, err := pythonFor(projectWith(t, map[string]any{option: value}))
		if err == nil || !strings.Contains(err.Error(), "runtime.options."+option) {
			t.Errorf("%s: %v gives %v", option, value, err)
		}
	}
}

func TestTheVirtualEnvironmentOfTheProjectIsUsed(t *testing.T) {
	info := projectWith(t, map[string]any{"virtualenv": "env"})
	python, err := pythonFor(info)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := python.Command(context.Background(), "-V")
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(info.RootDirectory, "env", "bin", "python"); cmd.Path != want {
		t.Errorf("runs %s, want %s", cmd.Path, want)
	}
}

func TestAPolicyPackIsStartedAsAModule(t *testing.T) {
	info := projectWith(t, nil)
	req := &pulumirpc.RunPluginRequest{Info: info, Kind: "analyzer", Args: []string{"127.0.0.1:1"}}
	want := "-u -m pulumi.policy 127.0.0.1:1 " + info.ProgramDirectory
	if got := strings.Join(pluginArguments(req), " "); got != want {
		t.Errorf("arguments are %q, want %q", got, want)
	}
}

func TestAnInstalledPackageNamesItsPlugin(t *testing.T) {
	site := t.TempDir()
	writeFile(t, filepath.Join(site, "Pulumi_Thing-4.2.dist-info", "METADATA"),
		"Metadata-Version: 2.1\nName: Pulumi_Thing\nVersion: 4.2\nRequires-Dist: other (>=1)\n")
	writeFile(t, filepath.Join(site, "other-1.dist-info", "METADATA"), "Metadata-Version: 2.1\nName: other\nVersion: 1\n")
	writeFile(t, filepath.Join(site, "pulumi_thing", "pulumi-plugin.json"),
		`{"resource": true, "name": "thing", "version": "4.2.0"}`)
	t.Setenv("PYTHONPATH", site)

	python, err := pythonFor(projectWith(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	packages, err := installedPackages(context.Background(), python)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]pythonPackage{}
	for _, pkg := range packages {
		found[pkg.Name] = pkg
	}
	if dependency := pluginOf(found["pulumi-thing"]); dependency == nil || dependency.Name != "thing" || dependency.Version != "4.2.0" {
		t.Errorf("plugin of pulumi-thing is %v", dependency)
	}
	if other := found["other"]; pluginOf(other) != nil || other.Direct || !found["pulumi-thing"].Direct {
		t.Errorf("other is %+v", other)
	}
}

func TestAnUnknownPluginVersionIsLeftToTheEngine(t *testing.T) {
	named := &plugin.PulumiPluginJSON{Resource: true}
	if dependency := pluginOf(pythonPackage{Name: "pulumi-x", Version: "1.2.3", Plugin: named}); dependency.GetVersion() != "1.2.3" {
		t.Errorf("version is %q", dependency.GetVersion())
	}
	if dependency := pluginOf(pythonPackage{Name: "pulumi-x", Version: "1.2.3a4", Plugin: named}); dependency != nil {
		t.Errorf("an alpha package gives %v", dependency)
	}
	if dependency := pluginOf(pythonPackage{Name: "pulumi-policy", Plugin: &plugin.PulumiPluginJSON{}}); dependency != nil {
		t.Errorf("a package without a plugin gives %v", dependency)
	}
}

func TestTheHostEndsWhenTheEngineIsGone(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(filepath.Dir(self), "pulumi-language-python-exec"), "")
	stdin, engine := io.Pipe()
	done := make(chan error)
	go func() { done <- run([]string{"host", "127.0.0.1:1"}, stdin, io.Discard) }()
	_ = engine.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("still serves 10 s after the engine closed its end")
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
