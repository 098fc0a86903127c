package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/errutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

// listPackages prints the installed packages. `pip list` could do that, but it is slow, does not tell where a package
// lies, and an environment that uv made has no pip.
//
//go:embed packages.py
var listPackages string

type pythonPackage struct {
	Name    string
	Version string
	Direct  bool                     // no other installed package requires it
	Plugin  *plugin.PulumiPluginJSON // what it says about its provider plugin, nil for most packages
}

func installedPackages(ctx context.Context, python toolchain.Toolchain) ([]pythonPackage, error) {
	cmd, err := python.Command(ctx, "-c", listPackages)
	if err != nil {
		return nil, err
	}
	output, err := cmd.Output()
	if err != nil {
		return nil, errutil.ErrorWithStderr(err, "list installed Python packages")
	}
	var packages []pythonPackage
	if err := json.Unmarshal(output, &packages); err != nil {
		return nil, fmt.Errorf("list installed Python packages: %w", err)
	}
	return packages, nil
}

// GetRequiredPackages tells which provider plugins the installed packages belong to, after making the virtual
// environment if there is none yet.
func (h *languageHost) GetRequiredPackages(
	ctx context.Context, req *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	python, err := pythonFor(req.Info)
	if err != nil {
		return nil, err
	}
	if err := python.EnsureVenv(ctx, req.Info.ProgramDirectory, false, true, os.Stderr, os.Stderr); err != nil {
		return nil, err
	}
	if err := python.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	packages, err := installedPackages(ctx, python)
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GetRequiredPackagesResponse{}
	for _, pkg := range packages {
		if dependency := pluginOf(pkg); dependency != nil {
			response.Packages = append(response.Packages, dependency)
		}
	}
	return response, nil
}

var release = regexp.MustCompile(`^\d+\.\d+\.\d+$`)

// pluginOf is nil for a package without a plugin, and for one whose plugin version cannot be told: the engine finds
// that plugin when the program registers the first resource of it.
func pluginOf(pkg pythonPackage) *pulumirpc.PackageDependency {
	if pkg.Plugin == nil || !pkg.Plugin.Resource {
		return nil
	}
	dependency := &pulumirpc.PackageDependency{
		Kind:             "resource",
		Name:             pkg.Plugin.Name,
		Version:          pkg.Plugin.Version,
		Server:           pkg.Plugin.Server,
		Parameterization: parameterization(pkg.Plugin.Parameterization),
		Extension:        parameterization(pkg.Plugin.ExtensionParameterization),
	}
	if dependency.Name == "" {
		dependency.Name = strings.TrimPrefix(pkg.Name, "pulumi-")
	}
	if dependency.Version == "" {
		if !release.MatchString(pkg.Version) {
			return nil
		}
		dependency.Version = pkg.Version
	}
	return dependency
}

func parameterization(p *plugin.PulumiParameterizationJSON) *pulumirpc.PackageParameterization {
	if p == nil {
		return nil
	}
	return &pulumirpc.PackageParameterization{Name: p.Name, Version: p.Version, Value: p.Value}
}

// GetProgramDependencies lists installed packages for `pulumi about`.
func (h *languageHost) GetProgramDependencies(
	ctx context.Context, req *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	python, err := pythonFor(req.Info)
	if err != nil {
		return nil, err
	}
	packages, err := installedPackages(ctx, python)
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for _, pkg := range packages {
		if pkg.Direct || req.TransitiveDependencies {
			dependency := &pulumirpc.DependencyInfo{Name: pkg.Name, Version: pkg.Version}
			response.Dependencies = append(response.Dependencies, dependency)
		}
	}
	return response, nil
}
