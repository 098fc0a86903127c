package httpserver

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBodiesInFlightShareABudgetThatEachFreesAtItsEnd(t *testing.T) {
	refused := 0
	budget := &bodyBudget{onBusy: func() { refused++ }}
	budget.left.Store(100)
	read := func(size int) (*body, error) {
		b := &body{ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", size))), budget: budget}
		_, err := io.ReadAll(b)
		return b, err
	}
	first, err := read(60)
	if err != nil {
		t.Fatal(err)
	}
	second, err := read(60)
	if !errors.Is(err, ErrBusy) {
		t.Errorf("120 bytes of 100: %v", err)
	}
	if refused != 1 {
		t.Errorf("%d were counted", refused)
	}
	second.release()
	first.release()
	if third, err := read(100); err != nil {
		t.Errorf("after both have ended: %v", err)
	} else if third.release(); budget.left.Load() != 100 {
		t.Errorf("%d bytes of 100 are free", budget.left.Load())
	}
}

func TestABodyAnnouncedAsTooLargeIsNotRead(t *testing.T) {
	r := httptest.NewRequest("POST", "/", strings.NewReader("123456"))
	var tooLarge *http.MaxBytesError
	if _, err := ReadBody(r, 5); !errors.As(err, &tooLarge) || tooLarge.Limit != 5 {
		t.Errorf("got %v", err)
	}
	if rest, _ := io.ReadAll(r.Body); len(rest) != 6 {
		t.Errorf("%d bytes were read", 6-len(rest))
	}
}
