package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/v2"
)

// load decodes the source into result, which may hold defaults, by its json tags. It is strict: keys are case-sensitive,
// and text is not converted to numbers. The error joins one line per mistake; an invalid key keeps its default.
func load(result any, provider koanf.Provider, parser koanf.Parser) error {
	source := koanf.New(".")
	if err := source.Load(provider, parser); err != nil {
		return err
	}
	return source.UnmarshalWithConf("", result, koanf.UnmarshalConf{
		Tag: "json",
		DecoderConfig: &mapstructure.DecoderConfig{
			ErrorUnused: true,
			MatchName:   func(key, field string) bool { return key == field },
			DecodeHook:  mapstructure.ComposeDecodeHookFunc(mapstructure.TextUnmarshallerHookFunc(), refuseFraction),
		},
	})
}

// refuseFraction returns an error for 1.5 as an integer, which mapstructure would truncate to 1.
func refuseFraction(from, to reflect.Type, value any) (any, error) {
	if from.Kind() == reflect.Float64 && to.Kind() == reflect.Int {
		return nil, fmt.Errorf("%v is not a whole number", value)
	}
	return value, nil
}

// oneLineEach rewrites each joined error as one line that starts with prefix.
func oneLineEach(prefix string, err error) error {
	var lines []error
	for _, mistake := range split(err) {
		lines = append(lines, fmt.Errorf("%s%s", prefix, explain(mistake)))
	}
	return errors.Join(lines...)
}

// split returns the single errors of joined ones.
func split(err error) (mistakes []error) {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []error{err}
	}
	for _, part := range joined.Unwrap() {
		mistakes = append(mistakes, split(part)...)
	}
	return mistakes
}

// explain describes a mistake in one line: the field, and what is wrong with it.
func explain(mistake error) string {
	var field *mapstructure.DecodeError
	if !errors.As(mistake, &field) {
		return strings.ReplaceAll(mistake.Error(), "\n", "") // errors of the YAML parser have several lines
	}
	var wrongType *mapstructure.UnconvertibleTypeError
	if errors.As(mistake, &wrongType) {
		return fmt.Sprintf("%s: %#v is not of type %s", field.Name(), wrongType.Value, wrongType.Expected.Kind())
	}
	return fmt.Sprintf("%s: %s", field.Name(), field.Unwrap())
}
