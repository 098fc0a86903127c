package main

import (
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write metrics.txt instead of comparing with it")

var (
	seriesLine = regexp.MustCompile(`(?m)^([\w:]+)(?:\{(.*)\})? \S+$`)
	labelPair  = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// Alerts and dashboards take the names of series from metrics.txt; tests of `slipway` compare them with it.
func TestMetricsTxtListsTheSeriesOfFreshProcesses(t *testing.T) {
	var want string
	for _, process := range []*instance{startAPI(t), startWeb(t, "API_URL="+unreachableURL)} {
		page, _ := process.get(process.admin, "/metrics")
		want += listed(page) + "\n"
	}
	if *update {
		if err := os.WriteFile("../../metrics.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("../../metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("metrics.txt lists other series; write it again: go test ./cmd/api -run %s -update\n%s", t.Name(), want)
	}
}

// listed returns a line for each name of the page, with the labels of its series, and the bounds of a histogram.
func listed(page string) string {
	labels, bounds := map[string][]string{}, map[string][]string{}
	for _, series := range seriesLine.FindAllStringSubmatch(page, -1) {
		name := series[1]
		labels[name] = append(labels[name], "")
		for _, pair := range labelPair.FindAllStringSubmatch(series[2], -1) {
			labels[name] = append(labels[name], pair[1])
			if pair[1] == "le" && !slices.Contains(bounds[name], pair[2]) {
				bounds[name] = append(bounds[name], pair[2])
			}
		}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		slices.Sort(labels[name])
		line := name + strings.Join(slices.Compact(labels[name]), " ")
		if len(bounds[name]) > 0 {
			line += ": " + strings.Join(bounds[name], " ")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n") + "\n"
}
