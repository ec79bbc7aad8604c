package blob

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"
)

// cachedSegments bounds the decrypted segments a Reader holds: a player reads
// around one or two places at a time.
const cachedSegments = 4

// Segment is one sealed part of a file, as its index tells.
type Segment struct {
	// Offset is where its plain bytes begin; Size is how many there are.
	Offset, Size int64
	// Meta is what was appended beside them.
	Meta []byte
}

// Reader reads the plain bytes of a sealed file at any place. It is safe for
// concurrent use.
type Reader struct {
	f      *os.File
	sealer *sealer
	index  []entry
	end    position

	mu    sync.Mutex
	cache []cached // most recently used last
}

type cached struct {
	segment int
	plain   []byte
}

var _ io.ReaderAt = (*Reader)(nil)

func newReader(f *os.File, seal *sealer, index []entry, end position) *Reader {
	return &Reader{f: f, sealer: seal, index: index, end: end}
}

// Size is the number of plain bytes.
func (r *Reader) Size() int64 { return r.end.offset }

// Chain is the head of the hash chain over all segments.
func (r *Reader) Chain() [32]byte { return r.end.chain }

// Segments is the index of the file, in order.
func (r *Reader) Segments() []Segment {
	segments := make([]Segment, len(r.index))
	for i, e := range r.index {
		segments[i] = Segment{Offset: int64(e.offset), Size: int64(e.size), Meta: e.meta}
	}
	return segments
}

// ReadAt reads plain bytes. Bytes of a segment that is not what was written are
// never given out: the error is a *DamagedError.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("blob: negative offset %d", off)
	}
	n := 0
	first := sort.Search(len(r.index), func(i int) bool {
		return int64(r.index[i].offset)+int64(r.index[i].size) > off
	})
	for i := first; n < len(p) && i < len(r.index); i++ {
		plain, err := r.segment(i)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], plain[off+int64(n)-int64(r.index[i].offset):])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *Reader) segment(i int) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, c := range r.cache {
		if c.segment == i {
			r.cache = append(append(r.cache[:at:at], r.cache[at+1:]...), c)
			return c.plain, nil
		}
	}
	plain, err := r.load(i)
	if err != nil {
		return nil, err
	}
	if len(r.cache) == cachedSegments {
		r.cache = append(r.cache[:0:0], r.cache[1:]...)
	}
	r.cache = append(r.cache, cached{segment: i, plain: plain})
	return plain, nil
}

func (r *Reader) load(i int) ([]byte, error) {
	plain, err := r.sealer.open(r.f, r.index[i])
	if errors.Is(err, errBody) || errors.Is(err, errHeader) {
		return nil, &DamagedError{Segment: i}
	}
	return plain, err
}

// Verify reads every segment; a *DamagedError names the first that is not what
// was written.
func (r *Reader) Verify() error {
	for i := range r.index {
		if _, err := r.load(i); err != nil {
			return err
		}
	}
	return nil
}

// Close frees the file; reads fail from then on.
func (r *Reader) Close() error { return r.f.Close() }
