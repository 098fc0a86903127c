// Package attack makes the requests of hostile clients, for tests.
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
	// LargestAnswer is what no answer to such a request may exceed.
	LargestAnswer = 64 << 10
	// mostCPU is what no such request may take.
	mostCPU = 100 * time.Millisecond
)

// Bodies returns so many random bodies, the same ones for each seed: noise, JSON of odd shapes, and the valid body with
// something changed.
func Bodies(count int, seed uint64, valid map[string]any) []string {
	random := maker{rand.New(rand.NewPCG(seed, 0)), valid}
	bodies := make([]string, count)
	for at := range bodies {
		bodies[at] = random.body(1 + random.IntN(2<<random.IntN(14)))
	}
	return bodies
}

// Form is such a body as browsers send it; what is no object, or far too large, stays as it is.
func Form(body string) string {
	var fields map[string]any
	if len(body) > LargestAnswer || json.Unmarshal([]byte(body), &fields) != nil {
		return body
	}
	values := url.Values{}
	for field, value := range fields {
		values.Set(field, fmt.Sprint(value))
	}
	return values.Encode()
}

// TinyFields is an object of this size, of as many fields as possible.
func TinyFields(size int) string {
	var text strings.Builder
	text.WriteByte('{')
	for at := 0; text.Len() < size-16; at++ {
		fmt.Fprintf(&text, `"%x":1,`, at)
	}
	return text.String() + `"":1}`
}

var megabyte = sync.OnceValue(func() string { return TinyFields(1 << 20) })

type maker struct {
	*rand.Rand
	valid map[string]any
}

func (m maker) body(size int) string {
	switch m.IntN(10) {
	case 0:
		return m.text(size)
	case 1:
		return TinyFields(20 + size)
	case 2:
		return strings.Repeat(`{"a":`, size/5)
	case 3:
		return strings.Repeat(`[`, size) + strings.Repeat(`]`, size)
	case 4:
		return `{"stars": ` + strings.Repeat("9", size) + `}`
	case 5:
		return m.encode(map[string]any{m.text(size): 1, "name": m.text(size)})
	case 6:
		return megabyte()
	default:
		return m.mutated(size)
	}
}

// mutated is the valid body, mostly with one field changed, gone or too many, and sometimes with one byte changed.
func (m maker) mutated(size int) string {
	fields := map[string]any{}
	for field, value := range m.valid {
		fields[field] = value
		switch m.IntN(4) {
		case 0:
			fields[field] = m.value(size)
		case 1:
			delete(fields, field)
		}
	}
	if m.IntN(2) == 0 {
		fields[m.text(m.IntN(200))] = m.value(size)
	}
	text := []byte(m.encode(fields))
	if m.IntN(4) == 0 {
		text[m.IntN(len(text))] = byte(m.IntN(256))
	}
	return string(text)
}

func (m maker) value(size int) any {
	return []any{nil, true, -1, 1e300, m.text(size), m.text(m.IntN(50)), []any{1, "x"}, map[string]any{"a": nil}}[m.IntN(8)]
}

// noise has characters that grow when they are escaped, and parts of some.
var noise = strings.Repeat("ab<>&\"\\\x00\x01\n\u2028ä€𝄞\u202e\ufffd '%", 1000)

func (m maker) text(size int) string {
	size = min(size, len(noise))
	from := m.IntN(len(noise) - size + 1)
	return noise[from : from+size]
}

func (m maker) encode(fields map[string]any) string {
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // strings, numbers and the like
	}
	return string(text)
}

// WithinCPU fails unless the request takes little processor time. It is made again if not: other work of this process,
// such as collecting garbage, is counted too. allowance is what it may take on purpose, for hashing a password.
func WithinCPU(t *testing.T, allowance time.Duration, request func()) {
	t.Helper()
	took := CPU(request)
	for range 2 {
		if took > mostCPU+allowance {
			took = min(took, CPU(request))
		}
	}
	if took > mostCPU+allowance {
		t.Errorf("it took %s of processor time, more than %s", took, mostCPU+allowance)
	}
}

// CPU is the processor time this process takes meanwhile.
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
