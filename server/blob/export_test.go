package blob

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
)

// FailSync makes every later sync of the store's files fail.
func (s *Store) FailSync() {
	s.sync = func(*os.File) error { return errors.New("disk says no") }
}

// FillDisk lets every later write stop after so many bytes.
func (s *Store) FillDisk(bytes int) { s.write = stopAfter(bytes) }

// FillDisk lets every later write of a key stop after so many bytes.
func (k *Keys) FillDisk(bytes int) { k.write = stopAfter(bytes) }

// FreeDisk undoes FillDisk.
func (k *Keys) FreeDisk() { k.write = (*os.File).WriteAt }

func stopAfter(bytes int) func(*os.File, []byte, int64) (int, error) {
	return func(f *os.File, b []byte, at int64) (int, error) {
		n, err := f.WriteAt(b[:min(len(b), bytes)], at)
		return n, errors.Join(err, syscall.ENOSPC)
	}
}

// FreeDisk undoes FillDisk.
func (s *Store) FreeDisk() { s.write = (*os.File).WriteAt }

// HealSync undoes FailSync.
func (s *Store) HealSync() { s.sync = fdatasync }

// Folders calls sync wherever a folder of the store is synced.
func (s *Store) Folders(sync func(dir string) error) { s.folders.sync = sync }

// Folders calls sync wherever a folder is synced for a new key.
func (k *Keys) Folders(sync func(dir string) error) { k.folders.sync = sync }

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
