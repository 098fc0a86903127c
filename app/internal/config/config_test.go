package config_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/app/internal/config"
)

// getenv returns a lookup of these variables.
func getenv(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func write(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	cfg, err := config.Load(getenv(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Env{
		Environment: "local", LogLevel: "info", LogFormat: "json", HTTPPort: 8080, AdminPort: 9090,
		ReadHeaderTimeout: config.Duration(5 * time.Second), ReadTimeout: config.Duration(10 * time.Second),
		WriteTimeout: config.Duration(15 * time.Second), IdleTimeout: config.Duration(120 * time.Second),
		MaxBodyBytes: 16 << 10, ShutdownTimeout: config.Duration(20 * time.Second),
		MySQLPort: 3306, MySQLDatabase: "slipway", MySQLUser: "slipway", MySQLConnections: 10, MySQLSlowQuery: config.Duration(200 * time.Millisecond), MySQLTLSMode: "disabled",
		RedisPort: 6379, RedisTLSMode: "disabled", TrustedProxies: "0", TracesRatio: 1,
	}
	if cfg.Env != want {
		t.Errorf("got %+v, want %+v", cfg.Env, want)
	}
	if want := (config.File{LogLevel: "info", PageSize: config.PageSize{Default: 20, Max: 100}, RateLimit: config.RateLimit{Requests: 6000, Logins: 60, Guesses: 10}}); cfg.File != want {
		t.Errorf("got %+v, want %+v", cfg.File, want)
	}
}

// The stack files name variables.txt; `slipway` compares the variables they set with it.
func TestVariablesTxtListsTheVariables(t *testing.T) {
	var names []string
	for _, variable := range config.Variables {
		names = append(names, variable.Name)
	}
	listed, err := os.ReadFile("../../variables.txt")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(names, "\n") + "\n"; string(listed) != want {
		t.Errorf("variables.txt lists other variables; it should be:\n%s", want)
	}
}

func TestSetValuesReplaceDefaults(t *testing.T) {
	cfg, err := config.Load(getenv(map[string]string{
		"HTTP_PORT": "81", "DRAIN_DELAY": "1m30s", "LOG_LEVEL": "warn",
		"CONFIG_FILE": write(t, "config.yaml", "pageSize: {max: 50}\nnotice: back at 5 pm\n"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Env.HTTPPort != 81 || cfg.Env.DrainDelay != config.Duration(90*time.Second) {
		t.Errorf("the environment is ignored: %+v", cfg.Env)
	}
	t.Run("and a key missing in the file keeps its default, logLevel the value of LOG_LEVEL", func(t *testing.T) {
		want := config.File{LogLevel: "warn", PageSize: config.PageSize{Default: 20, Max: 50}, Notice: "back at 5 pm", RateLimit: config.RateLimit{Requests: 6000, Logins: 60, Guesses: 10}}
		if cfg.File != want {
			t.Errorf("got %+v, want %+v", cfg.File, want)
		}
	})
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	_, err := config.Load(getenv(map[string]string{
		"LOG_LEVEL": "loud", "LOG_FORMAT": "xml", "HTTP_PORT": "65536", "ADMIN_PORT": "eighty",
		"HTTP_READ_HEADER_TIMEOUT": "5", "HTTP_READ_TIMEOUT": "0s", "HTTP_WRITE_TIMEOUT": "1s", "HTTP_IDLE_TIMEOUT": "soon",
		"HTTP_MAX_BODY_BYTES": "1MB", "MYSQL_SLOW_QUERY": "200", "OTEL_TRACES_SAMPLER_ARG": "2", "DRAIN_DELAY": "-5s", "SHUTDOWN_TIMEOUT": "0s",
		"SECRETS_DIR": "/does/not/exist",
		"CONFIG_FILE": write(t, "config.yaml", "logLevel: trace\npageSize: {default: ten, max: 1.5}\nnotice: \"two\\nlines\"\n"),
	}))
	if err == nil {
		t.Fatal("the configuration is accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, mistake := range []string{
		"LOG_LEVEL: \"loud\"", "LOG_FORMAT: \"xml\"", "HTTP_PORT: \"65536\"", "ADMIN_PORT: \"eighty\"",
		"HTTP_READ_HEADER_TIMEOUT: \"5\"", "HTTP_READ_TIMEOUT: 0s", "HTTP_IDLE_TIMEOUT: \"soon\"",
		"HTTP_MAX_BODY_BYTES: \"1MB\"", "MYSQL_SLOW_QUERY: \"200\"", "OTEL_TRACES_SAMPLER_ARG: \"2\"", "DRAIN_DELAY: \"-5s\"", "SHUTDOWN_TIMEOUT: 0s", "SECRETS_DIR: ",
		"logLevel: \"trace\"", "pageSize.default: \"ten\"", "pageSize.max: 1.5", "notice: \"two\\nlines\"",
	} {
		if !strings.Contains(err.Error(), mistake) {
			t.Errorf("%s is not reported", mistake)
		}
	}
	if want := 17; len(lines) != want {
		t.Errorf("%d lines for %d mistakes:\n%v", len(lines), want, err)
	}
}

func TestAMistakeIsReportedWithItsReason(t *testing.T) {
	for _, mistake := range []struct{ name, variable, value, file, want string }{
		{name: "one port for both", variable: "ADMIN_PORT", value: "8080", want: "ADMIN_PORT: 8080 is HTTP_PORT too"},
		{name: "no time to send the body", variable: "HTTP_READ_TIMEOUT", value: "1s", want: "HTTP_READ_TIMEOUT: 1s is less than HTTP_READ_HEADER_TIMEOUT (5s)"},
		{name: "no time to respond", variable: "HTTP_WRITE_TIMEOUT", value: "9s", want: "HTTP_WRITE_TIMEOUT: 9s is less than HTTP_READ_TIMEOUT (10s)"},
		{name: "too few connections", variable: "MYSQL_CONNECTIONS", value: "3", want: "MYSQL_CONNECTIONS: 3 is less than 4"},
		{name: "unknown key", file: "logLvl: debug\n", want: "logLvl"},
		{name: "unknown nested key", file: "pageSize: {maximum: 5}\n", want: "maximum"},
		{name: "key in other case", file: "loglevel: debug\n", want: "loglevel"},
		{name: "duplicate key", file: "notice: a\nnotice: b\n", want: `"notice" already defined at line 1`},
		{name: "number for text", file: "logLevel: 4\n", want: "logLevel: 4 is not of type string"},
		{name: "not a mapping", file: "- 1\n", want: "line 1"},
		{name: "not YAML", file: "a: [\n", want: "yaml:"},
		{name: "empty pages", file: "pageSize: {default: 0}\n", want: "pageSize.default: 0"},
		{name: "page beyond the maximum", file: "pageSize: {max: 10}\n", want: "pageSize.default: 20 is not from 1 to pageSize.max (10)"},
		{name: "maximum too high", file: "pageSize: {max: 1001}\n", want: "pageSize.max: 1001"},
	} {
		t.Run(mistake.name, func(t *testing.T) {
			variables := map[string]string{mistake.variable: mistake.value}
			if mistake.file != "" {
				variables["CONFIG_FILE"] = write(t, "config.yaml", mistake.file)
			}
			_, err := config.Load(getenv(variables))
			if err == nil || !strings.Contains(err.Error(), mistake.want) {
				t.Errorf("got %v, want an error with %q", err, mistake.want)
			}
		})
	}
}

func TestASigningKeyIsReadFromTheSecretsFolder(t *testing.T) {
	key := strings.Repeat("0123456789abcdef", 2)
	cfg, err := config.Load(getenv(map[string]string{"SECRETS_DIR": filepath.Dir(write(t, "signing-key", key+"\n"))}))
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Secrets.SigningKey.Reveal(); got != key {
		t.Errorf("got %q", got)
	}
	t.Run("and is refused when it is short, without being shown", func(t *testing.T) {
		_, err := config.Load(getenv(map[string]string{"SECRETS_DIR": filepath.Dir(write(t, "signing-key", "tiny-key"))}))
		if err == nil || !strings.Contains(err.Error(), "has 8 characters") || strings.Contains(err.Error(), "tiny-key") {
			t.Errorf("got %v", err)
		}
	})
}

func TestMySQLNeedsAPassword(t *testing.T) {
	path := write(t, "signing-key", strings.Repeat("n", 32))
	variables := map[string]string{"MYSQL_HOST": "db"}
	if _, err := config.Load(getenv(variables)); err == nil || !strings.Contains(err.Error(), "SECRETS_DIR: not set, but MYSQL_HOST is") {
		t.Errorf("got %v", err)
	}
	variables["SECRETS_DIR"] = filepath.Dir(path)
	if _, err := config.Load(getenv(variables)); err == nil || !strings.Contains(err.Error(), "SECRETS_DIR: read mysql-password") {
		t.Errorf("got %v", err)
	}
	os.WriteFile(filepath.Join(filepath.Dir(path), "mysql-password"), []byte("canary\n"), 0o600)
	cfg, err := config.Load(getenv(variables))
	if err != nil || cfg.Secrets.MySQLPassword.Reveal() != "canary" || strings.Contains(fmt.Sprintf("%+v", cfg), "canary") {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

func TestRedisNeedsASharedStore(t *testing.T) {
	_, err := config.Load(getenv(map[string]string{"REDIS_HOST": "cache", "TRUSTED_PROXIES": "-1"}))
	for _, part := range []string{"REDIS_HOST: set, but MYSQL_HOST is not", `TRUSTED_PROXIES: "-1" is neither a number from 0 to 255 nor a list of networks`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %s", err, part)
		}
	}
}

func TestTLSVerifiesTheAuthorityAndTheNameOfTheServer(t *testing.T) {
	https := httptest.NewTLSServer(nil)
	defer https.Close()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: https.Certificate().Raw}))
	address := strings.TrimPrefix(https.URL, "https://")
	for name, test := range map[string]struct {
		variables map[string]string
		want      string // part of the error; "" if it connects
	}{
		"its authority":   {map[string]string{"MYSQL_TLS": "verified", "MYSQL_CA_FILE": write(t, "ca.pem", authority), "MYSQL_HOST": "127.0.0.1"}, ""},
		"another name":    {map[string]string{"MYSQL_TLS": "verified", "MYSQL_CA_FILE": write(t, "ca.pem", authority), "MYSQL_HOST": "db.internal"}, "not db.internal"},
		"the system's":    {map[string]string{"MYSQL_TLS": "verified", "MYSQL_HOST": "127.0.0.1"}, "unknown authority"},
		"not verified":    {map[string]string{"MYSQL_TLS": "unverified", "MYSQL_HOST": "db.internal"}, ""},
		"an unknown mode": {map[string]string{"MYSQL_TLS": "on"}, `MYSQL_TLS: "on" is not a TLS mode`},
		"no such file":    {map[string]string{"MYSQL_TLS": "verified", "MYSQL_CA_FILE": "/does/not/exist"}, "MYSQL_CA_FILE: open /does/not/exist"},
		"no certificate":  {map[string]string{"MYSQL_TLS": "verified", "MYSQL_CA_FILE": write(t, "ca.pem", "x")}, "has no certificate in PEM form"},
		"an unused file":  {map[string]string{"REDIS_CA_FILE": write(t, "ca.pem", authority)}, "REDIS_CA_FILE: it has no effect, because REDIS_TLS is disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			test.variables["SECRETS_DIR"] = secretsDir(t)
			cfg, err := config.Load(getenv(test.variables))
			if err == nil {
				err = connect(address, cfg.Env)
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func secretsDir(t *testing.T) string {
	t.Helper()
	folder := filepath.Dir(write(t, "signing-key", strings.Repeat("n", 32)))
	if err := os.WriteFile(filepath.Join(folder, "mysql-password"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func connect(address string, env config.Env) error {
	settings, err := env.MySQLTLS()
	if err != nil {
		return err
	}
	connection, err := tls.Dial("tcp", address, settings)
	if err == nil {
		connection.Close()
	}
	return err
}

func TestAURLNeedsASchemeAndMustNotHaveAPassword(t *testing.T) {
	for _, url := range []string{"collector:4318", "grpc://collector", "http://user:canary@collector"} {
		_, err := config.Load(getenv(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url}))
		if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_ENDPOINT: it is not a URL") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestARateLimitOutOfRangeIsReported(t *testing.T) {
	_, err := config.Load(getenv(map[string]string{"CONFIG_FILE": write(t, "config.yaml", "rateLimit: {requests: -1, logins: 1000001}\n")}))
	for _, part := range []string{"rateLimit.requests: -1 is not", "rateLimit.logins: 1000001 is not"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %s", err, part)
		}
	}
}

func TestThePreviousSigningKeyIsOptional(t *testing.T) {
	path := write(t, "signing-key", strings.Repeat("n", 32))
	load := func() (config.Config, error) {
		return config.Load(getenv(map[string]string{"SECRETS_DIR": filepath.Dir(path)}))
	}
	if cfg, err := load(); err != nil || cfg.Secrets.SigningKeyPrevious.Reveal() != "" {
		t.Errorf("got %v, %v", cfg.Secrets, err)
	}
	previous := filepath.Join(filepath.Dir(path), "signing-key-previous")
	os.WriteFile(previous, []byte("too short"), 0o600)
	if _, err := load(); err == nil || !strings.Contains(err.Error(), previous+" has 9 characters") {
		t.Errorf("got %v", err)
	}
	os.WriteFile(previous, []byte(strings.Repeat("p", 32)+"\n"), 0o600)
	if cfg, err := load(); err != nil || cfg.Secrets.SigningKeyPrevious.Reveal() != strings.Repeat("p", 32) {
		t.Errorf("got %v", err)
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	cfg := config.Config{Secrets: config.Secrets{SigningKey: config.NewSecret("canary")}}
	var printed bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&printed, verb+"\n", cfg)
		fmt.Fprintf(&printed, verb+"\n", cfg.Secrets.SigningKey)
	}
	slog.New(slog.NewJSONHandler(&printed, nil)).Info("", "config", cfg, "key", cfg.Secrets.SigningKey)
	slog.New(slog.NewTextHandler(&printed, nil)).Info("", "config", cfg, "key", cfg.Secrets.SigningKey)
	if err := json.NewEncoder(&printed).Encode(cfg); err != nil {
		t.Fatal(err)
	}
	for _, shape := range []string{"canary", fmt.Sprintf("%x", "canary")} {
		if strings.Contains(printed.String(), shape) {
			t.Errorf("shown as %s in:\n%s", shape, printed.String())
		}
	}
	if !strings.Contains(printed.String(), `"signing-key":"***"`) {
		t.Error("a secret that is set does not show as ***")
	}
}
