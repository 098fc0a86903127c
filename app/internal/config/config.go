// Package config reads environment variables, the mounted config file and the secret files into one validated value. A
// new setting belongs here; its documentation is its entry in Variables.
package config

import (
	"errors"
	"fmt"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
)

// Config is the complete configuration of the program at startup.
type Config struct {
	Env     Env     `json:"env"`
	File    File    `json:"file"`
	Secrets Secrets `json:"secrets"`
}

// Env holds the environment variables. They are fixed for the life of the process: a change needs a rollout.
type Env struct {
	Environment       string   `json:"ENVIRONMENT"`
	LogLevel          Level    `json:"LOG_LEVEL"`
	LogFormat         Format   `json:"LOG_FORMAT"`
	HTTPPort          Port     `json:"HTTP_PORT"`
	AdminPort         Port     `json:"ADMIN_PORT"`
	ReadHeaderTimeout Duration `json:"HTTP_READ_HEADER_TIMEOUT"`
	ReadTimeout       Duration `json:"HTTP_READ_TIMEOUT"`
	WriteTimeout      Duration `json:"HTTP_WRITE_TIMEOUT"`
	IdleTimeout       Duration `json:"HTTP_IDLE_TIMEOUT"`
	MaxBodyBytes      Bytes    `json:"HTTP_MAX_BODY_BYTES"`
	DrainDelay        Duration `json:"DRAIN_DELAY"`
	ShutdownTimeout   Duration `json:"SHUTDOWN_TIMEOUT"`
	ConfigFile        string   `json:"CONFIG_FILE"`
	SecretsDir        string   `json:"SECRETS_DIR"`
	MySQLHost         string   `json:"MYSQL_HOST"`
	MySQLPort         Port     `json:"MYSQL_PORT"`
	MySQLDatabase     string   `json:"MYSQL_DATABASE"`
	MySQLUser         string   `json:"MYSQL_USER"`
	MySQLConnections  Count    `json:"MYSQL_CONNECTIONS"`
	MySQLSlowQuery    Duration `json:"MYSQL_SLOW_QUERY"`
	MySQLTLSMode      TLSMode  `json:"MYSQL_TLS"`
	MySQLCAFile       string   `json:"MYSQL_CA_FILE"`
	RedisHost         string   `json:"REDIS_HOST"`
	RedisPort         Port     `json:"REDIS_PORT"`
	RedisUser         string   `json:"REDIS_USER"`
	RedisTLSMode      TLSMode  `json:"REDIS_TLS"`
	RedisCAFile       string   `json:"REDIS_CA_FILE"`
	TrustedProxies    Proxies  `json:"TRUSTED_PROXIES"`
	TracesEndpoint    URL      `json:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	TracesRatio       Ratio    `json:"OTEL_TRACES_SAMPLER_ARG"`
	ServiceName       string   `json:"OTEL_SERVICE_NAME"`
	APIURL            URL      `json:"API_URL"`
}

// MinConnections is the smallest number of connections to MySQL that a process can work with.
const MinConnections = 4

// Variable describes an environment variable that the program reads.
type Variable struct{ Name, Default, Meaning string }

// Variables lists every environment variable that the program reads. An empty value counts as not set.
var Variables = []Variable{
	{"ENVIRONMENT", "local", "name of the stack, shown by /version"},
	{"LOG_LEVEL", "info", "debug, info, warn or error"},
	{"LOG_FORMAT", "json", "json or text"},
	{"HTTP_PORT", "8080", "public port; 0 takes any free one"},
	{"ADMIN_PORT", "9090", "port of probes, metrics and /config; 0 takes any free one"},
	{"HTTP_READ_HEADER_TIMEOUT", "5s", "time a client has to send the headers"},
	{"HTTP_READ_TIMEOUT", "10s", "time a client has to send the whole request"},
	{"HTTP_WRITE_TIMEOUT", "15s", "time from the end of the headers to the end of the response"},
	{"HTTP_IDLE_TIMEOUT", "120s", "time an unused connection is kept open"},
	{"HTTP_MAX_BODY_BYTES", "16384", "largest request body; some routes accept less"},
	{"DRAIN_DELAY", "0s", "time to continue serving after SIGTERM, while readiness responds 503"},
	{"SHUTDOWN_TIMEOUT", "20s", "time that running requests have to finish after that"},
	{"CONFIG_FILE", "", "YAML file that is read again when it changes"},
	{"SECRETS_DIR", "", "folder with the files signing-key, signing-key-previous (while it is replaced), mysql-password, redis-password"},
	{"MYSQL_HOST", "", "server of the store; without it each process keeps everything in its memory"},
	{"MYSQL_PORT", "3306", "its port"},
	{"MYSQL_DATABASE", "slipway", "database with the schema that `api migrate` creates"},
	{"MYSQL_USER", "slipway", "user with rights to read and write, and for `api migrate` to change the schema"},
	{"MYSQL_CONNECTIONS", "10", "maximum connections of this process; all replicas together have to stay below max_connections of the server"},
	{"MYSQL_SLOW_QUERY", "200ms", "statements and transactions that take longer are counted as slow"},
	{"MYSQL_TLS", "disabled", "disabled, unverified (encrypted only) or verified (by certificate and host name)"},
	{"MYSQL_CA_FILE", "", "PEM file of the trusted certificate authorities; without one those of the system"},
	{"REDIS_HOST", "", "server of the cache, the rate limits and the recount queue that replicas share; optional"},
	{"REDIS_PORT", "6379", "its port; the password is in the file redis-password of SECRETS_DIR, if there is one"},
	{"REDIS_USER", "", "user of an access control list; without one the password is that of the default user"},
	{"REDIS_TLS", "disabled", "as MYSQL_TLS"},
	{"REDIS_CA_FILE", "", "as MYSQL_CA_FILE"},
	{"TRUSTED_PROXIES", "0", "number of proxies in front, or their networks (10.42.0.0/16, 192.0.2.7): their X-Forwarded-For is trusted"},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "", "URL of a collector of traces (OTLP over HTTP), for example http://collector:4318"},
	{"OTEL_TRACES_SAMPLER_ARG", "1", "share of the traces that is exported, from 0 to 1; a trace that a caller began follows the caller"},
	{"OTEL_SERVICE_NAME", "", "name of this service in traces and log lines instead of slipway-api, or slipway-web for `api web`"},
	{"API_URL", "", "address of the API for `api web`, for example http://api:80; required by `api web` only"},
}

// Load reads and validates the configuration. The error joins one line per mistake, each starting with the name of the
// setting.
func Load(getenv func(string) string) (Config, error) {
	environment, err := readEnv(getenv)
	file, fileErr := environment.ReadFile()
	secrets, secretsErr := environment.readSecrets()
	return Config{environment, file, secrets}, errors.Join(err, fileErr, secretsErr)
}

// readEnv decodes the defaults first: an invalid variable keeps its default, so that the others can still be validated.
func readEnv(getenv func(string) string) (Env, error) {
	var result Env
	defaults, given := map[string]any{}, []string{}
	for _, variable := range Variables {
		defaults[variable.Name] = variable.Default
		if value := getenv(variable.Name); value != "" {
			given = append(given, variable.Name+"="+value)
		}
	}
	err := errors.Join(
		load(&result, confmap.Provider(defaults, ""), nil),
		load(&result, env.Provider("", env.Opt{EnvironFunc: func() []string { return given }}), nil),
	)
	return result, oneLineEach("", errors.Join(err, result.check()))
}

// check validates combinations of values; each single value was validated while it was decoded.
func (e Env) check() error {
	var mistakes []error
	if e.HTTPPort == e.AdminPort && e.HTTPPort != 0 {
		mistakes = append(mistakes, fmt.Errorf("ADMIN_PORT: %d is HTTP_PORT too: probes and metrics need a port of their own", e.AdminPort))
	}
	if e.MySQLHost != "" && e.SecretsDir == "" {
		mistakes = append(mistakes, errors.New("SECRETS_DIR: not set, but MYSQL_HOST is: the password comes from the file mysql-password in it"))
	}
	if e.RedisHost != "" && e.MySQLHost == "" {
		mistakes = append(mistakes, errors.New("REDIS_HOST: set, but MYSQL_HOST is not: replicas would share a cache, but each have a store of its own"))
	}
	if e.MySQLConnections < MinConnections {
		mistakes = append(mistakes, fmt.Errorf("MYSQL_CONNECTIONS: %d is less than %d: requests and background tasks each need some", e.MySQLConnections, MinConnections))
	}
	_, mysqlErr := e.MySQLTLS()
	_, redisErr := e.RedisTLS()
	mistakes = append(mistakes, mysqlErr, redisErr)
	for _, timeout := range []struct {
		name  string
		value Duration
	}{
		{"HTTP_READ_HEADER_TIMEOUT", e.ReadHeaderTimeout},
		{"HTTP_READ_TIMEOUT", e.ReadTimeout},
		{"HTTP_WRITE_TIMEOUT", e.WriteTimeout},
		{"HTTP_IDLE_TIMEOUT", e.IdleTimeout},
		{"SHUTDOWN_TIMEOUT", e.ShutdownTimeout},
	} {
		if timeout.value == 0 {
			mistakes = append(mistakes, fmt.Errorf("%s: 0s would wait forever: set a time, for example 10s", timeout.name))
		}
	}
	if e.ReadTimeout != 0 && e.ReadHeaderTimeout > e.ReadTimeout {
		mistakes = append(mistakes, fmt.Errorf("HTTP_READ_TIMEOUT: %s is less than HTTP_READ_HEADER_TIMEOUT (%s)", e.ReadTimeout, e.ReadHeaderTimeout))
	}
	if e.WriteTimeout != 0 && e.ReadTimeout > e.WriteTimeout {
		mistakes = append(mistakes, fmt.Errorf("HTTP_WRITE_TIMEOUT: %s is less than HTTP_READ_TIMEOUT (%s): a slow client would get no response", e.WriteTimeout, e.ReadTimeout))
	}
	return errors.Join(mistakes...)
}
