package evidence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"genba/server/problem"
)

const (
	// maxBoxes bounds the boxes, or elements, walked in one file.
	maxBoxes = 20_000
	// maxBoxDepth bounds how deep they may stand in each other.
	maxBoxDepth = 8
	// maxDuration is the longest length that is believed.
	maxDuration = 7 * 24 * time.Hour
	// macEpoch is the seconds from 1904, where these files count from, to 1970.
	macEpoch = 2_082_844_800
)

// movie is what the boxes of a video say of it.
type movie struct {
	width, height int
	duration      time.Duration
	created       time.Time
}

func broken(format string, args ...any) error {
	return problem.Wrap(problem.FileBroken, fmt.Errorf(format, args...))
}

// boxWalk is one pass over the boxes of an ISO base media file.
type boxWalk struct {
	r                io.ReaderAt
	left             int
	ftyp, moov, data bool
	movie            movie
}

// containers are the boxes that hold only boxes and are walked into.
var containers = map[string]bool{"moov": true, "trak": true, "mdia": true, "minf": true, "stbl": true, "mvex": true, "edts": true, "dinf": true}

// inspectBoxes checks that every box lies inside the one that holds it and
// inside the file. A video must have a header and data.
func inspectBoxes(r io.ReaderAt, size int64, video bool) (movie, error) {
	w := &boxWalk{r: r, left: maxBoxes}
	if err := w.walk(0, size, 0); err != nil {
		return movie{}, err
	}
	if !w.ftyp && !video || video && (!w.moov || !w.data) {
		return movie{}, broken("header or data box missing")
	}
	return w.movie, nil
}

func (w *boxWalk) walk(at, end int64, depth int) error {
	for at < end {
		if w.left--; w.left < 0 {
			return broken("more than %d boxes", maxBoxes)
		}
		kind, head, length, err := w.box(at, end)
		if err != nil {
			return err
		}
		if depth == 0 {
			w.ftyp = w.ftyp || kind == "ftyp"
			w.moov = w.moov || kind == "moov"
			w.data = w.data || kind == "mdat" || kind == "moof"
		}
		if containers[kind] {
			if depth == maxBoxDepth {
				return broken("boxes nest deeper than %d", maxBoxDepth)
			}
			if err := w.walk(at+head, at+length, depth+1); err != nil {
				return err
			}
		}
		if err := w.read(kind, at+head, length-head); err != nil {
			return err
		}
		at += length
	}
	return nil
}

// box reads the header at at: its kind, the header's length and the whole
// length, which never leaves end.
func (w *boxWalk) box(at, end int64) (kind string, head, length int64, err error) {
	var b [16]byte
	if end-at < 8 {
		return "", 0, 0, broken("%d stray bytes", end-at)
	}
	if err := readAt(w.r, b[:8], at); err != nil {
		return "", 0, 0, err
	}
	head, length = 8, int64(binary.BigEndian.Uint32(b[:4]))
	switch length {
	case 0:
		length = end - at
	case 1:
		if end-at < 16 {
			return "", 0, 0, broken("long box cut off")
		}
		if err := readAt(w.r, b[8:], at+8); err != nil {
			return "", 0, 0, err
		}
		large := binary.BigEndian.Uint64(b[8:])
		if large > math.MaxInt64 {
			return "", 0, 0, broken("box of %d bytes", large)
		}
		head, length = 16, int64(large)
	}
	if length < head || length > end-at {
		return "", 0, 0, broken("box of %d bytes where %d are left", length, end-at)
	}
	return string(b[4:8]), head, length, nil
}

func (w *boxWalk) read(kind string, at, size int64) error {
	switch kind {
	case "mvhd":
		return w.movieHeader(at, size)
	case "tkhd":
		return w.trackHeader(at, size)
	}
	return nil
}

func (w *boxWalk) movieHeader(at, size int64) error {
	var b [32]byte
	if size < int64(len(b)) {
		return broken("movie header of %d bytes", size)
	}
	if err := readAt(w.r, b[:], at); err != nil {
		return err
	}
	created := uint64(binary.BigEndian.Uint32(b[4:]))
	scale, duration := uint64(binary.BigEndian.Uint32(b[12:])), uint64(binary.BigEndian.Uint32(b[16:]))
	unknown := duration == math.MaxUint32
	if b[0] == 1 {
		created = binary.BigEndian.Uint64(b[4:])
		scale, duration = uint64(binary.BigEndian.Uint32(b[20:])), binary.BigEndian.Uint64(b[24:])
		unknown = duration == math.MaxUint64
	}
	if created > macEpoch && created < macEpoch+math.MaxUint32 {
		w.movie.created = time.Unix(int64(created-macEpoch), 0).UTC()
	}
	if scale != 0 && !unknown {
		w.movie.duration = believable(float64(duration) / float64(scale))
	}
	return nil
}

func (w *boxWalk) trackHeader(at, size int64) error {
	var b [8]byte
	if size < 84 {
		return broken("track header of %d bytes", size)
	}
	// Width and height are the last two fields, 16.16 fixed point.
	if err := readAt(w.r, b[:], at+size-8); err != nil {
		return err
	}
	width, height := int(binary.BigEndian.Uint16(b[0:])), int(binary.BigEndian.Uint16(b[4:]))
	if width*height > w.movie.width*w.movie.height {
		w.movie.width, w.movie.height = width, height
	}
	return nil
}

func believable(seconds float64) time.Duration {
	if !(seconds > 0) || seconds > maxDuration.Seconds() {
		return 0
	}
	return time.Duration(seconds * float64(time.Second)).Truncate(time.Millisecond)
}

func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return broken("cut off")
	}
	return fmt.Errorf("inspect file: %w", err)
}

// WebM element ids that matter here.
const (
	idEBML     = 0x1A45DFA3
	idSegment  = 0x18538067
	idInfo     = 0x1549A966
	idCluster  = 0x1F43B675
	idScale    = 0x2AD7B1
	idDuration = 0x4489
)

// element is one EBML element's place.
type element struct {
	id      uint64
	body    int64
	size    int64
	unknown bool
}

// inspectWebM checks that every element of the two upper levels lies inside the
// one that holds it, and reads the duration where it is told.
func inspectWebM(r io.ReaderAt, size int64) (time.Duration, error) {
	head, err := readElement(r, 0, size)
	if err != nil {
		return 0, err
	}
	if head.id != idEBML || head.unknown {
		return 0, broken("no EBML header")
	}
	segment, err := readElement(r, head.body+head.size, size)
	if err != nil {
		return 0, err
	}
	if segment.id != idSegment {
		return 0, broken("no segment")
	}
	if !segment.unknown && segment.body+segment.size != size {
		return 0, broken("segment ends at %d of %d", segment.body+segment.size, size)
	}
	var duration time.Duration
	clusters := 0
	for at, n := segment.body, 0; at < size; n++ {
		if n == maxBoxes {
			return 0, broken("more than %d elements", maxBoxes)
		}
		e, err := readElement(r, at, size)
		if err != nil {
			return 0, err
		}
		switch {
		case e.id == idCluster:
			clusters++
			if e.unknown {
				// An endless cluster is walked as what stands in it.
				at = e.body
				continue
			}
		case e.unknown:
			return 0, broken("element without an end")
		case e.id == idInfo:
			if duration, err = webmDuration(r, e); err != nil {
				return 0, err
			}
		}
		at = e.body + e.size
	}
	if clusters == 0 {
		return 0, broken("no cluster")
	}
	return duration, nil
}

func webmDuration(r io.ReaderAt, info element) (time.Duration, error) {
	scale, ticks := 1e6, 0.0
	for at, end := info.body, info.body+info.size; at < end; {
		e, err := readElement(r, at, end)
		if err != nil {
			return 0, err
		}
		if e.unknown {
			return 0, broken("element without an end")
		}
		if (e.id == idScale || e.id == idDuration) && e.size <= 8 {
			b := make([]byte, 8)
			if err := readAt(r, b[8-e.size:], e.body); err != nil {
				return 0, err
			}
			v := binary.BigEndian.Uint64(b)
			switch {
			case e.id == idScale:
				scale = float64(v)
			case e.size == 4:
				ticks = float64(math.Float32frombits(uint32(v)))
			case e.size == 8:
				ticks = math.Float64frombits(v)
			}
		}
		at = e.body + e.size
	}
	return believable(ticks * scale / 1e9), nil
}

// readElement reads the id and size at at; the element never leaves end.
func readElement(r io.ReaderAt, at, end int64) (element, error) {
	var b [12]byte
	n := min(int64(len(b)), end-at)
	if n < 2 {
		return element{}, broken("stray bytes")
	}
	if err := readAt(r, b[:n], at); err != nil {
		return element{}, err
	}
	id, used, ok := vint(b[:n], 4, false)
	if !ok {
		return element{}, broken("no element id")
	}
	size, more, ok := vint(b[used:n], 8, true)
	if !ok {
		return element{}, broken("no element size")
	}
	e := element{id: id, body: at + int64(used+more), size: int64(size)}
	e.unknown = size == 1<<(7*more)-1
	if e.unknown {
		e.size = 0
	} else if e.size > end-e.body {
		return element{}, broken("element of %d bytes where %d are left", e.size, end-e.body)
	}
	return e, nil
}

// vint reads a variable-length number of at most longest bytes; bare drops the
// length marker, which ids keep.
func vint(b []byte, longest int, bare bool) (v uint64, used int, ok bool) {
	if len(b) == 0 || b[0] == 0 {
		return 0, 0, false
	}
	n := 1
	for mask := byte(0x80); b[0]&mask == 0; mask >>= 1 {
		n++
	}
	if n > longest || n > len(b) {
		return 0, 0, false
	}
	v = uint64(b[0])
	if bare {
		v &= 1<<(8-n) - 1
	}
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	return v, n, true
}
