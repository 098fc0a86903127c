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

// volume is a ConfigMap volume as the kubelet lays it out: file -> ..data/file, ..data -> one folder per version.
type volume struct {
	t      *testing.T
	folder string
}

func mount(t *testing.T, content string) volume {
	t.Helper()
	m := volume{t, filepath.Join(t.TempDir(), "config")}
	m.must(os.Mkdir(m.folder, 0o755))
	m.must(os.Symlink("..data/config.yaml", filepath.Join(m.folder, "config.yaml")))
	m.swap(content)
	return m
}

// swap replaces the content like the kubelet's AtomicWriter: a new folder, a new link, one rename.
func (m volume) swap(content string) {
	m.t.Helper()
	version, err := os.MkdirTemp(m.folder, "..version_")
	m.must(err)
	m.must(os.WriteFile(filepath.Join(version, "config.yaml"), []byte(content), 0o644))
	m.must(os.Symlink(filepath.Base(version), filepath.Join(m.folder, "..data_tmp")))
	m.must(os.Rename(filepath.Join(m.folder, "..data_tmp"), filepath.Join(m.folder, "..data")))
}

func (m volume) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// liveConfig is a Live with the metrics and the log level that it changes.
type liveConfig struct {
	*Live
	metrics *metrics.Metrics
	level   *slog.LevelVar
}

const never = time.Hour

// watch starts a Live that watches the file until the test ends.
func watch(t *testing.T, path string, pollInterval time.Duration) liveConfig {
	t.Helper()
	w := start(t, path)
	var watching sync.WaitGroup
	watching.Go(func() { w.Watch(t.Context(), pollInterval) })
	t.Cleanup(watching.Wait) // t.Context ends before cleanups run
	return w
}

func start(t *testing.T, path string) liveConfig {
	t.Helper()
	cfg, err := config.Load(func(name string) string { return map[string]string{"CONFIG_FILE": path}[name] })
	if err != nil {
		t.Fatal(err)
	}
	w := liveConfig{metrics: metrics.New("test"), level: &slog.LevelVar{}}
	apply := func(file config.File) { w.level.Set(file.LogLevel.Slog()) }
	w.Live = New(cfg, apply, slog.New(slog.DiscardHandler), w.metrics)
	return w
}

// scrape returns the value of a series as Prometheus reads it.
func (w liveConfig) scrape(series string) string {
	response := httptest.NewRecorder()
	w.metrics.Handler().ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(response.Body.String()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
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

func TestASymlinkSwapIsNoticedWithoutPolling(t *testing.T) {
	mounted := mount(t, "notice: one\n")
	live := watch(t, filepath.Join(mounted.folder, "config.yaml"), never)
	if got := live.Current(); got.Notice != "one" || got.Generation != 1 {
		t.Fatalf("started with %+v", got)
	}
	for _, notice := range []string{"two", "three"} {
		mounted.swap("logLevel: debug\nnotice: " + notice + "\n")
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

func TestAnInvalidFileNeverComesIntoForce(t *testing.T) {
	mounted := mount(t, "notice: good\n")
	live := watch(t, filepath.Join(mounted.folder, "config.yaml"), never)
	mounted.swap("notice: [bad]\n")
	eventually(t, "the bad file is counted", func() bool { return live.scrape(`app_config_reloads_total{result="error"}`) == "1" })
	if got := live.Current(); got.Notice != "good" || got.Generation != 1 {
		t.Errorf("in force is %+v", got)
	}
	mounted.swap("notice: better\n")
	eventually(t, "the next good file is in force", func() bool { return live.Current().Notice == "better" })
}

func TestAnInvalidFileIsCountedOnceHoweverOftenItIsRead(t *testing.T) {
	mounted := mount(t, "notice: good\n")
	live := start(t, filepath.Join(mounted.folder, "config.yaml"))
	for round, want := range []string{"1", "2"} {
		mounted.swap("notice: [bad]\n")
		for range 3 {
			live.reload()
		}
		if got := live.scrape(`app_config_reloads_total{result="error"}`); got != want {
			t.Errorf("counted %s times in round %d, want %s", got, round, want)
		}
		mounted.swap("notice: good\n")
		live.reload()
	}
	if got := live.Current().Generation; got != 1 {
		t.Errorf("generation %d, although nothing new came into force", got)
	}
}

func TestADeletedFileIsCountedAndTheLastOneStaysInForce(t *testing.T) {
	mounted := mount(t, "notice: good\n")
	live := watch(t, filepath.Join(mounted.folder, "config.yaml"), never)
	mounted.must(os.Remove(filepath.Join(mounted.folder, "..data")))
	eventually(t, "it is counted", func() bool { return live.scrape(`app_config_reloads_total{result="error"}`) == "1" })
	if got := live.Current().Notice; got != "good" {
		t.Errorf("in force is %q", got)
	}
}

func TestPollingNoticesAReplacedFolder(t *testing.T) {
	mounted := mount(t, "notice: one\n")
	live := watch(t, filepath.Join(mounted.folder, "config.yaml"), 10*time.Millisecond)
	// This replaces the folder that is watched.
	mounted.must(os.Rename(mounted.folder, mounted.folder+"-old"))
	mounted.must(os.Mkdir(mounted.folder, 0o755))
	for _, notice := range []string{"two", "three"} {
		mounted.must(os.WriteFile(filepath.Join(mounted.folder, "config.yaml"), []byte("notice: "+notice+"\n"), 0o644))
		eventually(t, notice+" is in force", func() bool { return live.Current().Notice == notice })
	}
}
