package store

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sync"
	"time"
)

// ID is a version 7 UUID (RFC 9562). Later IDs sort after earlier ones.
type ID [16]byte

// IDs generates IDs, and is safe for concurrent use. IDs of different processes differ in 62 random bits.
type IDs struct {
	mu   sync.Mutex
	tick uint64
}

// Next returns an ID that is greater than all previous ones, even if many are generated in one millisecond or the clock
// steps back: a tick is the time in milliseconds with a 12-bit counter below it, and it only increases.
func (s *IDs) Next(now time.Time) ID {
	s.mu.Lock()
	s.tick = max(s.tick+1, uint64(now.UnixMilli())<<12)
	tick := s.tick
	s.mu.Unlock()
	var id ID
	rand.Read(id[8:])
	binary.BigEndian.PutUint64(id[:8], tick>>12<<16|7<<12|tick&0xfff)
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Now returns the current time in UTC, with the millisecond precision of stores.
func Now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func (id ID) String() string {
	digits := hex.EncodeToString(id[:])
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:]
}

// Time returns when the ID was generated.
func (id ID) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

// MarshalText returns the text of String.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText parses exactly the texts of MarshalText.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// ParseID parses exactly the texts of String.
func ParseID(text string) (ID, error) {
	var id ID
	if len(text) == 36 {
		digits := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
		if _, err := hex.Decode(id[:], []byte(digits)); err == nil && id.String() == text {
			return id, nil
		}
	}
	return ID{}, errors.New("not a UUID in lower case")
}
