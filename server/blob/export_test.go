package blob

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// FailSync makes every later sync of the store's files fail.
func (s *Store) FailSync() {
	s.sync = func(*os.File) error { return errors.New("disk says no") }
}

// HealSync undoes FailSync.
func (s *Store) HealSync() { s.sync = fdatasync }

// ParseSegments walks bytes as if they were a file's and answers how many
// segments and plain bytes it accepted.
func ParseSegments(name string, key *Key, raw []byte) (segments int, plain int64, err error) {
	seal := newSealer(name, key)
	r := bytes.NewReader(raw)
	at := position{chain: seal.genesis()}
	for {
		e, err := seal.next(r, int64(len(raw)), at)
		if errors.Is(err, io.EOF) {
			return int(at.index), at.offset, nil
		}
		if err != nil {
			return int(at.index), at.offset, err
		}
		if _, err := seal.open(r, e); err != nil {
			return int(at.index), at.offset, err
		}
		at = at.after(e.header, seal.headMAC)
	}
}
