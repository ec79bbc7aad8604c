package blob

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// MaxSegment bounds the plain bytes of one segment.
	MaxSegment = 1 << 20
	// MaxMeta bounds the sealed notes that stand beside a segment's bytes.
	MaxMeta = 16 << 10

	headerSize = 128
	maxBody    = MaxSegment + MaxSegment/1024 + MaxMeta + 4096
)

var magic = [4]byte{'G', 'B', 'S', '1'}

// header stands before each segment's body, in the clear but for what it
// authenticates: its MAC covers every field, and the body through its hash.
//
//	0   magic "GBS1"
//	4   index of the segment, from 0
//	8   offset of its first plain byte
//	16  plain bytes
//	20  bytes of sealed meta
//	24  bytes of sealed data
//	28  zero
//	32  chain head before this segment
//	64  SHA-256 of the body (sealed meta, then sealed data)
//	96  HMAC-SHA256 of bytes 0 to 95
//
// Numbers are big endian. The chain head after a segment is SHA-256 of its
// header; the head before the first is a MAC of the file's name, so that two
// files of one key cannot stand in for each other.
type header struct {
	index   uint32
	offset  uint64
	size    uint32
	metaLen uint32
	dataLen uint32
	prev    [32]byte
	body    [32]byte
}

var (
	errHeader = errors.New("blob: not a segment header")
	errBody   = errors.New("blob: segment body does not match its header")
)

func (h header) bodyLen() int64 { return int64(h.metaLen) + int64(h.dataLen) }

func (h header) marshal(macKey []byte) [headerSize]byte {
	var b [headerSize]byte
	copy(b[0:4], magic[:])
	binary.BigEndian.PutUint32(b[4:], h.index)
	binary.BigEndian.PutUint64(b[8:], h.offset)
	binary.BigEndian.PutUint32(b[16:], h.size)
	binary.BigEndian.PutUint32(b[20:], h.metaLen)
	binary.BigEndian.PutUint32(b[24:], h.dataLen)
	copy(b[32:], h.prev[:])
	copy(b[64:], h.body[:])
	copy(b[96:], mac(macKey, b[:96]))
	return b
}

func parseHeader(b []byte, macKey []byte) (header, error) {
	if len(b) < headerSize || !bytes.Equal(b[:4], magic[:]) || !hmac.Equal(b[96:headerSize], mac(macKey, b[:96])) {
		return header{}, errHeader
	}
	h := header{
		index:   binary.BigEndian.Uint32(b[4:]),
		offset:  binary.BigEndian.Uint64(b[8:]),
		size:    binary.BigEndian.Uint32(b[16:]),
		metaLen: binary.BigEndian.Uint32(b[20:]),
		dataLen: binary.BigEndian.Uint32(b[24:]),
		prev:    [32]byte(b[32:64]),
		body:    [32]byte(b[64:96]),
	}
	if h.size > MaxSegment || h.bodyLen() > maxBody || binary.BigEndian.Uint32(b[28:]) != 0 {
		return header{}, errHeader
	}
	return h, nil
}

// sealer holds the subkeys of one file.
type sealer struct {
	key     *Key
	name    string
	headMAC []byte
	metaKey []byte
}

func newSealer(name string, key *Key) *sealer {
	return &sealer{key: key, name: name, headMAC: key.subkey("segment header"), metaKey: key.subkey("segment meta")}
}

func (s *sealer) genesis() [32]byte {
	return [32]byte(mac(s.headMAC, []byte("start of "+s.name)))
}

// frame seals one segment into the bytes that stand in the file.
func (s *sealer) frame(at position, data, meta []byte) ([]byte, header, error) {
	sealedMeta, err := s.sealMeta(at.index, meta)
	if err != nil {
		return nil, header{}, err
	}
	sealedData, err := s.key.Seal(data)
	if err != nil {
		return nil, header{}, err
	}
	body := sha256.New()
	body.Write(sealedMeta)
	body.Write(sealedData)
	h := header{
		index:   at.index,
		offset:  uint64(at.offset),
		size:    uint32(len(data)),
		metaLen: uint32(len(sealedMeta)),
		dataLen: uint32(len(sealedData)),
		prev:    at.chain,
		body:    [32]byte(body.Sum(nil)),
	}
	head := h.marshal(s.headMAC)
	frame := make([]byte, 0, headerSize+len(sealedMeta)+len(sealedData))
	frame = append(frame, head[:]...)
	frame = append(frame, sealedMeta...)
	return append(frame, sealedData...), h, nil
}

func (s *sealer) sealMeta(index uint32, meta []byte) ([]byte, error) {
	if len(meta) == 0 {
		return nil, nil
	}
	aead, err := chacha20poly1305.NewX(s.metaKey)
	if err != nil {
		return nil, fmt.Errorf("seal meta: %w", err)
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(meta)+aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal meta: %w", err)
	}
	return aead.Seal(nonce, nonce, meta, metaLabel(index)), nil
}

func (s *sealer) openMeta(index uint32, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	aead, err := chacha20poly1305.NewX(s.metaKey)
	if err != nil {
		return nil, fmt.Errorf("open meta: %w", err)
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errBody
	}
	return aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], metaLabel(index))
}

func metaLabel(index uint32) []byte { return binary.BigEndian.AppendUint32(nil, index) }

// position is where the next segment goes.
type position struct {
	index  uint32
	offset int64 // plain bytes before it
	file   int64 // bytes of the file before it
	chain  [32]byte
}

func (p position) after(h header, macKey []byte) position {
	head := h.marshal(macKey)
	return position{
		index:  p.index + 1,
		offset: p.offset + int64(h.size),
		file:   p.file + headerSize + h.bodyLen(),
		chain:  sha256.Sum256(head[:]),
	}
}

// entry is one segment of the index.
type entry struct {
	header
	file int64 // where its header begins
	meta []byte
}

// next reads the header of the segment at p and checks that it belongs there.
// It answers io.EOF at the end of the file and errHeader for anything else that
// is not the next segment, whole, of this file.
func (s *sealer) next(r io.ReaderAt, size int64, p position) (entry, error) {
	if p.file == size {
		return entry{}, io.EOF
	}
	var b [headerSize]byte
	if err := readFull(r, b[:], p.file); err != nil {
		return entry{}, err
	}
	h, err := parseHeader(b[:], s.headMAC)
	if err != nil {
		return entry{}, err
	}
	if h.index != p.index || h.offset != uint64(p.offset) || h.prev != p.chain || p.file+headerSize+h.bodyLen() > size {
		return entry{}, errHeader
	}
	sealed := make([]byte, h.metaLen)
	if err := readFull(r, sealed, p.file+headerSize); err != nil {
		return entry{}, err
	}
	meta, err := s.openMeta(h.index, sealed)
	if err != nil {
		return entry{}, errHeader
	}
	return entry{header: h, file: p.file, meta: meta}, nil
}

// open reads the body of a segment and answers its plain bytes.
func (s *sealer) open(r io.ReaderAt, e entry) ([]byte, error) {
	body := make([]byte, e.bodyLen())
	if err := readFull(r, body, e.file+headerSize); err != nil {
		return nil, err
	}
	if sha256.Sum256(body) != e.body {
		return nil, errBody
	}
	plain, err := s.key.Open(body[e.metaLen:])
	if err != nil {
		return nil, errBody
	}
	if len(plain) != int(e.size) {
		return nil, errBody
	}
	return plain, nil
}

// readFull reads exactly len(b) bytes; fewer mean that the segment is torn.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errHeader
	}
	return fmt.Errorf("read segment: %w", err)
}

// tornOnly reports whether no true segment header of this file stands at or
// after from: then what is there was never acknowledged.
func (s *sealer) tornOnly(r io.ReaderAt, from, size int64) (bool, error) {
	const window = 1 << 20
	buf := make([]byte, window+headerSize)
	for at := from; at < size; at += window {
		n := min(int64(len(buf)), size-at)
		if err := readFull(r, buf[:n], at); err != nil {
			return false, err
		}
		for b, base := buf[:n], 0; ; {
			i := bytes.Index(b[base:], magic[:])
			if i < 0 {
				break
			}
			if _, err := parseHeader(b[base+i:], s.headMAC); err == nil {
				return false, nil
			}
			base += i + 1
		}
	}
	return true, nil
}
