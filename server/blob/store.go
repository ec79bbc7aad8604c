package blob

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

var (
	// ErrExists says that a file of that name is there already.
	ErrExists = errors.New("blob: file exists")
	// ErrNotFound says that there is no file of that name.
	ErrNotFound = errors.New("blob: no such file")
	// ErrBusy says that the file is open for writing elsewhere.
	ErrBusy = errors.New("blob: file is being written")
	// ErrStopped says that a sync failed, or the file was closed: nothing more
	// is appended to it by this process, or through this File.
	ErrStopped = errors.New("blob: file takes no more segments")
	// ErrTooLarge says that a segment or its meta is over its bound.
	ErrTooLarge = errors.New("blob: segment too large")
)

// DamagedError says which segment is not what was written.
type DamagedError struct {
	// Segment counts from 0.
	Segment int
}

// Error names the segment.
func (e *DamagedError) Error() string { return fmt.Sprintf("blob: segment %d is damaged", e.Segment) }

// Store is a folder of sealed files. It is safe for concurrent use.
type Store struct {
	dir     string
	folders *folders
	write   func(f *os.File, b []byte, at int64) (int, error)
	sync    func(*os.File) error

	mu sync.Mutex
	// stopped are the files of which a sync failed, and how many of their bytes
	// were acknowledged before.
	stopped map[string]int64
}

// unknown is the length of a stopped file of which nothing is known.
const unknown = -1

// OpenStore opens the folder of sealed files, making it (mode 0700) where it is
// absent.
func OpenStore(dir string) (*Store, error) {
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{dir: dir, folders: newFolders(dir), write: (*os.File).WriteAt, sync: fdatasync, stopped: map[string]int64{}}, nil
}

func fdatasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }

func (s *Store) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// File is a sealed file that is being written. It is safe for concurrent use;
// only one is open on a name at a time.
type File struct {
	store  *Store
	name   string
	sealer *sealer

	mu      sync.Mutex
	f       *os.File
	at      position
	index   []entry
	plain   hash.Hash
	stopped error
}

// Create makes an empty file; ErrExists when the name is taken. File and folder
// are synced when it returns.
func (s *Store) Create(name string, key *Key) (*File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	path := s.path(name)
	if err := s.folders.ensure(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("create file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil, ErrExists
	}
	if err != nil {
		return nil, fmt.Errorf("create file: %w", err)
	}
	if err := errors.Join(lock(f), f.Sync(), s.folders.sync(filepath.Dir(path))); err != nil {
		return nil, fmt.Errorf("create file: %w", errors.Join(err, f.Close(), os.Remove(path)))
	}
	s.mu.Lock()
	delete(s.stopped, name)
	s.mu.Unlock()
	return s.newFile(name, key, f), nil
}

func (s *Store) newFile(name string, key *Key, f *os.File) *File {
	seal := newSealer(name, key)
	return &File{store: s, name: name, sealer: seal, f: f, at: position{chain: seal.genesis()}, plain: sha256.New()}
}

func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrBusy
	}
	return err
}

// Reopen continues a file after a crash or a pause: it reads every segment,
// drops a torn tail and syncs what is left before it returns. A damaged segment
// before the last is a *DamagedError; an unknown name is ErrNotFound. A file
// whose sync failed in this process is opened as it was acknowledged before, and
// takes no more segments; where the sync that failed was Reopen's, that is not
// known, and the answer is ErrStopped.
func (s *Store) Reopen(name string, key *Key) (*File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	size, stopped := s.stopped[name]
	s.mu.Unlock()
	if stopped && size == unknown {
		return nil, ErrStopped
	}
	f, err := os.OpenFile(s.path(name), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reopen file: %w", err)
	}
	file := s.newFile(name, key, f)
	if err := lock(f); err != nil {
		return nil, fmt.Errorf("reopen file: %w", errors.Join(err, f.Close()))
	}
	if stopped {
		file.stopped = ErrStopped
		err = file.scan(size)
	} else {
		err = file.recover()
	}
	if err != nil {
		return nil, fmt.Errorf("reopen file: %w", errors.Join(err, f.Close()))
	}
	return file, nil
}

func (f *File) recover() error {
	info, err := f.f.Stat()
	if err != nil {
		return err
	}
	if err := f.scan(info.Size()); err != nil {
		var damaged *DamagedError
		if !errors.As(err, &damaged) {
			return err
		}
		torn, tornErr := f.sealer.tornOnly(f.f, f.at.file+1, info.Size())
		if tornErr != nil {
			return tornErr
		}
		if !torn {
			return err
		}
		if err := f.f.Truncate(f.at.file); err != nil {
			return err
		}
	}
	// What was whole before a kill may still be in memory only. A sync that
	// failed is not tried again: the next one may say that all is well.
	if err := errors.Join(f.store.sync(f.f), f.store.folders.sync(filepath.Dir(f.f.Name()))); err != nil {
		f.stop(unknown)
		return err
	}
	return nil
}

// scan reads the segments of a file of that size, as far as they are what was
// written.
func (f *File) scan(size int64) error {
	for {
		e, plain, err := f.scanOne(size)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errHeader), errors.Is(err, errBody):
			return &DamagedError{Segment: int(f.at.index)}
		case err != nil:
			return err
		}
		f.accept(e, plain)
	}
}

func (f *File) scanOne(size int64) (entry, []byte, error) {
	e, err := f.sealer.next(f.f, size, f.at)
	if err != nil {
		return entry{}, nil, err
	}
	plain, err := f.sealer.open(f.f, e)
	return e, plain, err
}

func (f *File) accept(e entry, plain []byte) {
	f.index = append(f.index, e)
	f.at = f.at.after(e.header, f.sealer.headMAC)
	f.plain.Write(plain)
}

// Append seals data and meta as one segment, writes it and syncs it before it
// returns. A full disk leaves the file as it was, to be tried again; an error
// from sync ends the file (ErrStopped from then on), since what reached the
// disk is then unknown.
func (f *File) Append(data, meta []byte) error {
	if len(data) > MaxSegment || len(meta) > MaxMeta {
		return ErrTooLarge
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped != nil {
		return f.stopped
	}
	if f.at.index == math.MaxUint32 {
		return ErrTooLarge
	}
	frame, h, err := f.sealer.frame(f.at, data, meta)
	if err != nil {
		return fmt.Errorf("append segment: %w", err)
	}
	if _, err := f.store.write(f.f, frame, f.at.file); err != nil {
		if cut := f.f.Truncate(f.at.file); cut != nil {
			f.stop(f.at.file)
			err = errors.Join(err, cut)
		}
		return fmt.Errorf("append segment: %w", err)
	}
	if err := f.store.sync(f.f); err != nil {
		f.stop(f.at.file)
		// Later reads would see from memory what the disk may not hold.
		return fmt.Errorf("append segment: %w", errors.Join(err, f.f.Truncate(f.at.file)))
	}
	f.accept(entry{header: h, file: f.at.file, meta: append([]byte(nil), meta...)}, data)
	return nil
}

// stop ends writing for as long as this process lives; so many bytes of the file
// are known to be on disk.
func (f *File) stop(size int64) {
	f.stopped = ErrStopped
	f.store.mu.Lock()
	f.store.stopped[f.name] = size
	f.store.mu.Unlock()
}

// Size is the number of plain bytes acknowledged so far.
func (f *File) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at.offset
}

// Segments is the number of segments acknowledged so far.
func (f *File) Segments() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int(f.at.index)
}

// Chain is the head of the hash chain over all segments so far. Kept elsewhere,
// it shows later that none was changed, swapped, dropped or cut off.
func (f *File) Chain() [32]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at.chain
}

// SHA256 is the hash of the plain bytes so far.
func (f *File) SHA256() [32]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return [32]byte(f.plain.Sum(nil))
}

// Reader reads what has been acknowledged so far, while more is appended.
func (f *File) Reader() (*Reader, error) {
	f.mu.Lock()
	index, at := f.index[:len(f.index):len(f.index)], f.at
	f.mu.Unlock()
	file, err := os.Open(f.store.path(f.name))
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	return newReader(file, f.sealer, index, at), nil
}

// Close ends writing. Everything acknowledged is synced already.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f == nil {
		return nil
	}
	file := f.f
	f.f = nil
	if f.stopped == nil {
		f.stopped = ErrStopped
	}
	return file.Close()
}

// Reader opens a file for reading at any place. Headers are all checked now;
// bodies when they are read. A header that is not what was written, or a tail
// that is no segment, is a *DamagedError; an unknown name is ErrNotFound. Cut
// off at the edge of a segment, a file reads well: compare Chain with what was
// kept.
func (s *Store) Reader(name string, key *Key) (*Reader, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	index, at, err := scan(f, newSealer(name, key))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return newReader(f, newSealer(name, key), index, at), nil
}

func scan(f *os.File, seal *sealer) ([]entry, position, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, position{}, fmt.Errorf("read file: %w", err)
	}
	at := position{chain: seal.genesis()}
	var index []entry
	for {
		e, err := seal.next(f, info.Size(), at)
		switch {
		case errors.Is(err, io.EOF):
			return index, at, nil
		case errors.Is(err, errHeader):
			return nil, position{}, &DamagedError{Segment: int(at.index)}
		case err != nil:
			return nil, position{}, err
		}
		index = append(index, e)
		at = at.after(e.header, seal.headMAC)
	}
}

// Remove unlinks a file and syncs its folder. One that is already gone is no
// error.
func (s *Store) Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := removeSynced(s.path(name)); err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	s.mu.Lock()
	delete(s.stopped, name)
	s.mu.Unlock()
	return nil
}

// Names walks over the names of all files, in lexical order, for the sweep of
// what no row points to. An error ends the walk.
func (s *Store) Names() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.IsDir() {
				return err
			}
			rel, err := filepath.Rel(s.dir, path)
			if err != nil {
				return err
			}
			if !yield(filepath.ToSlash(rel), nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield("", fmt.Errorf("walk store: %w", err))
		}
	}
}

// Free answers the bytes that may still be written on the disk of the store and
// the fraction of it, 0 to 1, that is used.
func (s *Store) Free() (bytes int64, used float64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &st); err != nil {
		return 0, 0, fmt.Errorf("ask for free space: %w", err)
	}
	taken := st.Blocks - st.Bfree
	if total := taken + st.Bavail; total > 0 {
		used = float64(taken) / float64(total)
	}
	return int64(st.Bavail) * st.Bsize, used, nil
}
