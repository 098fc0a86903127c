package reload

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/app/internal/config"
	"slipway/app/internal/metrics"
)

// mounted is a ConfigMap volume as the kubelet lays it out: file -> ..data/file, ..data -> a folder per version.
type mounted struct {
	t      *testing.T
	folder string
}

func mount(t *testing.T, content string) mounted {
	t.Helper()
	m := mounted{t, filepath.Join(t.TempDir(), "config")}
	m.must(os.Mkdir(m.folder, 0o755))
	m.must(os.Symlink("..data/config.yaml", filepath.Join(m.folder, "config.yaml")))
	m.swap(content)
	return m
}

// swap does what the kubelet's AtomicWriter does: a new folder, a new link, one rename.
func (m mounted) swap(content string) {
	m.t.Helper()
	version, err := os.MkdirTemp(m.folder, "..version_")
	m.must(err)
	m.must(os.WriteFile(filepath.Join(version, "config.yaml"), []byte(content), 0o644))
	m.must(os.Symlink(filepath.Base(version), filepath.Join(m.folder, "..data_tmp")))
	m.must(os.Rename(filepath.Join(m.folder, "..data_tmp"), filepath.Join(m.folder, "..data")))
}

func (m mounted) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// watched is a Live that watches until the test ends.
type watched struct {
	*Live
	metrics *metrics.Metrics
	level   *slog.LevelVar
}

const never = time.Hour

func watch(t *testing.T, path string, pollInterval time.Duration) watched {
	t.Helper()
	w := start(t, path)
	var watching sync.WaitGroup
	watching.Go(func() { w.Watch(t.Context(), pollInterval) })
	t.Cleanup(watching.Wait) // t.Context ends before
	return w
}

func start(t *testing.T, path string) watched {
	t.Helper()
	cfg, err := config.Load(func(name string) string { return map[string]string{"CONFIG_FILE": path}[name] })
	if err != nil {
		t.Fatal(err)
	}
	w := watched{metrics: metrics.New("test"), level: &slog.LevelVar{}}
	apply := func(file config.File) { w.level.Set(file.LogLevel.Slog()) }
	w.Live = New(cfg, apply, slog.New(slog.DiscardHandler), w.metrics)
	return w
}

// scrape gives the value of a series as Prometheus would read it.
func (w watched) scrape(series string) string {
	answer := httptest.NewRecorder()
	w.metrics.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return "absent"
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestASymlinkSwapIsSeenWithoutPolling(t *testing.T) {
	volume := mount(t, "notice: one\n")
	live := watch(t, filepath.Join(volume.folder, "config.yaml"), never)
	if got := live.Current(); got.Notice != "one" || got.Generation != 1 {
		t.Fatalf("started with %+v", got)
	}
	for _, notice := range []string{"two", "three"} {
		volume.swap("logLevel: debug\nnotice: " + notice + "\n")
		eventually(t, notice+" is in force", func() bool { return live.Current().Notice == notice })
	}
	if got := live.Current().Generation; got != 3 {
		t.Errorf("generation is %d", got)
	}
	if live.level.Level() != slog.LevelDebug {
		t.Error("the log level did not change")
	}
	eventually(t, "both are counted", func() bool {
		return live.scrape(`app_config_reloads_total{result="success"}`) == "2" && live.scrape("app_config_generation") == "3"
	})
}

func TestAFileWithAMistakeIsKeptOut(t *testing.T) {
	volume := mount(t, "notice: good\n")
	live := watch(t, filepath.Join(volume.folder, "config.yaml"), never)
	volume.swap("notice: [bad]\n")
	eventually(t, "the bad file is counted", func() bool { return live.scrape(`app_config_reloads_total{result="error"}`) == "1" })
	if got := live.Current(); got.Notice != "good" || got.Generation != 1 {
		t.Errorf("in force is %+v", got)
	}
	volume.swap("notice: better\n")
	eventually(t, "the next good file is in force", func() bool { return live.Current().Notice == "better" })
}

func TestOneBadFileIsCountedOnceHoweverOftenItIsRead(t *testing.T) {
	volume := mount(t, "notice: good\n")
	live := start(t, filepath.Join(volume.folder, "config.yaml"))
	for round, want := range []string{"1", "2"} {
		volume.swap("notice: [bad]\n")
		for range 3 {
			live.reload()
		}
		if got := live.scrape(`app_config_reloads_total{result="error"}`); got != want {
			t.Errorf("counted %s times in round %d, want %s", got, round, want)
		}
		volume.swap("notice: good\n")
		live.reload()
	}
	if got := live.Current().Generation; got != 1 {
		t.Errorf("generation %d, though nothing new came into force", got)
	}
}

func TestAVanishedFileIsCountedAndTheLastOneStays(t *testing.T) {
	volume := mount(t, "notice: good\n")
	live := watch(t, filepath.Join(volume.folder, "config.yaml"), never)
	volume.must(os.Remove(filepath.Join(volume.folder, "..data")))
	eventually(t, "it is counted", func() bool { return live.scrape(`app_config_reloads_total{result="error"}`) == "1" })
	if got := live.Current().Notice; got != "good" {
		t.Errorf("in force is %q", got)
	}
}

func TestPollingSeesWhatTheWatchCannot(t *testing.T) {
	volume := mount(t, "notice: one\n")
	live := watch(t, filepath.Join(volume.folder, "config.yaml"), 10*time.Millisecond)
	// The watch is on the folder that goes away here.
	volume.must(os.Rename(volume.folder, volume.folder+"-old"))
	volume.must(os.Mkdir(volume.folder, 0o755))
	for _, notice := range []string{"two", "three"} {
		volume.must(os.WriteFile(filepath.Join(volume.folder, "config.yaml"), []byte("notice: "+notice+"\n"), 0o644))
		eventually(t, notice+" is in force", func() bool { return live.Current().Notice == notice })
	}
}
