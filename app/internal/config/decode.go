package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/v2"
)

// load fills result, which may hold defaults, by its json tags. Nothing is guessed: no other spelling of a key, no text
// for a number. The error joins one line per mistake; a key with a mistake keeps its default.
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

// refuseFraction exists because mapstructure would cut 1.5 down to 1.
func refuseFraction(from, to reflect.Type, value any) (any, error) {
	if from.Kind() == reflect.Float64 && to.Kind() == reflect.Int {
		return nil, fmt.Errorf("%v is not a whole number", value)
	}
	return value, nil
}

// inWords makes one line of each joined error: where, what is wrong.
func inWords(where string, err error) error {
	var lines []error
	for _, mistake := range split(err) {
		lines = append(lines, fmt.Errorf("%s%s", where, explain(mistake)))
	}
	return errors.Join(lines...)
}

func split(err error) (mistakes []error) {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []error{err}
	}
	for _, each := range joined.Unwrap() {
		mistakes = append(mistakes, split(each)...)
	}
	return mistakes
}

func explain(mistake error) string {
	var field *mapstructure.DecodeError
	if !errors.As(mistake, &field) {
		return strings.ReplaceAll(mistake.Error(), "\n", "") // YAML's take several lines
	}
	var wrongType *mapstructure.UnconvertibleTypeError
	if errors.As(mistake, &wrongType) {
		return fmt.Sprintf("%s: %#v is not of type %s", field.Name(), wrongType.Value, wrongType.Expected.Kind())
	}
	return fmt.Sprintf("%s: %s", field.Name(), field.Unwrap())
}
