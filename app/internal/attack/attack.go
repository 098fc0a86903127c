// Package attack generates the requests of hostile clients, and measures their cost. Only tests import it.
package attack

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// MaxResponse is the largest acceptable response to a hostile request, in bytes.
	MaxResponse = 64 << 10
	// maxCPU is the longest acceptable processor time of such a request.
	maxCPU = 100 * time.Millisecond
)

// Bodies returns count random bodies, the same for each seed: noise, JSON of odd shapes, and mutations of the valid body.
func Bodies(count int, seed uint64, valid map[string]any) []string {
	random := generator{rand.New(rand.NewPCG(seed, 0)), valid}
	bodies := make([]string, count)
	for i := range bodies {
		bodies[i] = random.body(1 + random.IntN(2<<random.IntN(14)))
	}
	return bodies
}

// Form encodes a JSON body as a form. A body that is not an object, or is far too large, is returned unchanged.
func Form(body string) string {
	var fields map[string]any
	if len(body) > MaxResponse || json.Unmarshal([]byte(body), &fields) != nil {
		return body
	}
	values := url.Values{}
	for field, value := range fields {
		values.Set(field, fmt.Sprint(value))
	}
	return values.Encode()
}

// TinyFields returns a JSON object of about this size with as many fields as possible.
func TinyFields(size int) string {
	var text strings.Builder
	text.WriteByte('{')
	for i := 0; text.Len() < size-16; i++ {
		fmt.Fprintf(&text, `"%x":1,`, i)
	}
	return text.String() + `"":1}`
}

var megabyte = sync.OnceValue(func() string { return TinyFields(1 << 20) })

// generator generates bodies from a random source.
type generator struct {
	*rand.Rand
	valid map[string]any
}

func (g generator) body(size int) string {
	switch g.IntN(10) {
	case 0:
		return g.text(size)
	case 1:
		return TinyFields(20 + size)
	case 2:
		return strings.Repeat(`{"a":`, size/5)
	case 3:
		return strings.Repeat(`[`, size) + strings.Repeat(`]`, size)
	case 4:
		return `{"stars": ` + strings.Repeat("9", size) + `}`
	case 5:
		return g.encode(map[string]any{g.text(size): 1, "name": g.text(size)})
	case 6:
		return megabyte()
	default:
		return g.mutated(size)
	}
}

// mutated returns the valid body with fields changed, removed or added, and sometimes with one byte changed.
func (g generator) mutated(size int) string {
	fields := map[string]any{}
	for field, value := range g.valid {
		fields[field] = value
		switch g.IntN(4) {
		case 0:
			fields[field] = g.value(size)
		case 1:
			delete(fields, field)
		}
	}
	if g.IntN(2) == 0 {
		fields[g.text(g.IntN(200))] = g.value(size)
	}
	text := []byte(g.encode(fields))
	if g.IntN(4) == 0 {
		text[g.IntN(len(text))] = byte(g.IntN(256))
	}
	return string(text)
}

func (g generator) value(size int) any {
	return []any{nil, true, -1, 1e300, g.text(size), g.text(g.IntN(50)), []any{1, "x"}, map[string]any{"a": nil}}[g.IntN(8)]
}

// noise contains characters that grow when they are escaped. Slices of it may also cut characters apart.
var noise = strings.Repeat("ab<>&\"\\\x00\x01\n\u2028ä€𝄞\u202e\ufffd '%", 1000)

func (g generator) text(size int) string {
	size = min(size, len(noise))
	from := g.IntN(len(noise) - size + 1)
	return noise[from : from+size]
}

func (g generator) encode(fields map[string]any) string {
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // never: strings, numbers and the like can be encoded
	}
	return string(text)
}

// WithinCPU fails unless the request takes little processor time. It repeats a slow request, because other work of this
// process, such as garbage collection, is measured as well. allowance is what the request may take on purpose, to hash a
// password.
func WithinCPU(t *testing.T, allowance time.Duration, request func()) {
	t.Helper()
	took := CPU(request)
	for range 2 {
		if took > maxCPU+allowance {
			took = min(took, CPU(request))
		}
	}
	if took > maxCPU+allowance {
		t.Errorf("it took %s of processor time, more than %s", took, maxCPU+allowance)
	}
}

// CPU returns the processor time that this process takes during work.
func CPU(work func()) time.Duration {
	before := used()
	work()
	return used() - before
}

func used() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
