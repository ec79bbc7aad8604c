package live

import "time"

// Feed runs payloads as consecutive packets through the path from reordering to
// the container, as the recorder does, and gives what it would write. Each
// payload's first byte says whether to skip numbers, end the picture or move the
// timestamp.
func Feed(c string, payloads [][]byte) [][]byte {
	r := newRecorder(format{codec: codec(c)}, nil, func() {}, func(error) {})
	file := &keep{}
	r.file = file
	now := time.Unix(1000, 0)
	ext, ts := int64(1<<20), uint32(0)
	for _, p := range payloads {
		if len(p) == 0 {
			continue
		}
		ext += 1 + int64(p[0]&3)
		if p[0]&4 != 0 {
			ts += 3000
		}
		if p[0]&8 != 0 {
			ts -= 1 << 30
		}
		now = now.Add(time.Duration(p[0]) * time.Millisecond)
		r.order.push(&packet{ext: ext, ts: ts, marker: p[0]&16 != 0, key: isKey(codec(c), p[1:]), payload: p[1:], at: now, wall: now})
		if r.drain(now, false) != nil {
			return nil
		}
	}
	if r.drain(now, true) == nil {
		_ = r.flush(true)
	}
	return file.data
}

// keep is a recording in memory.
type keep struct{ data [][]byte }

func (k *keep) Append(f Fragment) error {
	k.data = append(k.data, f.Data)
	return nil
}

func (k *keep) Close() error { return nil }

// Live tells whether the session has a publisher whose media was accepted.
func (s *Server) Live(session string) bool {
	s.mu.Lock()
	r := s.rooms[session]
	s.mu.Unlock()
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.publisher != nil && r.publisher.accepted.Load()
}
