package live

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Bounds of the recorder.
const (
	recordQueue  = 8192                   // packets that may wait for a slow disk, four seconds at the ceiling
	fragmentMost = 500 * time.Millisecond // how long a picture may wait to be handed over
	fragmentCut  = 450 * time.Millisecond // where a fragment is cut by the stream's own clock
	recordTick   = 100 * time.Millisecond
	defaultFrame = clockRate / 30 // length of a picture whose successor is unknown
	longestFrame = clockRate / 2  // longest a lone last picture is said to last
	clockSlack   = 5 * clockRate  // a timestamp further off the arrival time is a jump, not a pause
)

// recorder turns a publisher's packets into a recording, in a goroutine of its
// own: a slow disk costs pictures of the file, never of the viewers.
type recorder struct {
	inMu    sync.Mutex
	in      []*packet // waiting, at most recordQueue
	quit    chan struct{}
	done    chan struct{}
	open    func(context.Context) (Recording, error)
	wantKey func()      // asks the publisher for a keyframe
	failed  func(error) // the recording is over though the stream is not

	file    Recording
	order   reorder
	frames  framer
	writer  container
	begun   bool // header appended
	clock   streamClock
	held    *frame // its length is known when the next one comes
	heldAt  int64
	pending []sample
	end     int64 // where the last sample ends
	usual   int64 // length of the last picture
	gap     bool  // mark the next fragment
	oldest  time.Time
}

// streamClock unwraps RTP timestamps into ticks from the first picture.
type streamClock struct {
	begun bool
	last  uint32
	at    time.Time
	now   int64
}

func (c *streamClock) at32(ts uint32, arrival time.Time) int64 {
	if !c.begun {
		c.begun, c.last, c.at = true, ts, arrival
		return 0
	}
	step := int64(int32(ts - c.last))
	passed := ticks(max(0, arrival.Sub(c.at)))
	// Nothing says that a stranger's clock runs evenly: a jump must not make a
	// file of days, nor one that runs backwards.
	if step > passed+clockSlack || step < -clockSlack {
		step = passed
	}
	c.now, c.last, c.at = max(0, c.now+step), ts, arrival
	return c.now
}

func newRecorder(f format, open func(context.Context) (Recording, error), wantKey func(), failed func(error)) *recorder {
	return &recorder{
		quit: make(chan struct{}), done: make(chan struct{}),
		open: open, wantKey: wantKey, failed: failed,
		frames: framer{codec: newDepacketizer(f), needKey: true},
		writer: newContainer(f.codec), usual: defaultFrame,
	}
}

// push hands over packets; when the queue is full they are lost for the file.
func (r *recorder) push(packets []*packet) {
	r.inMu.Lock()
	defer r.inMu.Unlock()
	if len(r.in)+len(packets) <= recordQueue {
		r.in = append(r.in, packets...)
	}
}

// take moves what waits into order. spare is emptied and used for what comes.
func (r *recorder) take(spare []*packet) []*packet {
	r.inMu.Lock()
	waiting := r.in
	r.in = spare[:0]
	r.inMu.Unlock()
	for _, p := range waiting {
		r.order.push(p)
	}
	clear(waiting)
	return waiting
}

// run records until stop; it returns when the file is finished.
func (r *recorder) run() {
	defer close(r.done)
	ctx, cancel := context.WithTimeout(context.Background(), openWait)
	file, err := r.open(ctx)
	cancel()
	if err != nil {
		r.failed(err)
		return
	}
	if file == nil {
		return
	}
	r.file = file
	err = r.guarded()
	if e := r.file.Close(); err == nil {
		err = e
	}
	if err != nil {
		r.failed(err)
	}
}

// guarded is loop, with a stranger's bytes that break it turned into an error.
func (r *recorder) guarded() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("record: %v", v)
		}
	}()
	return r.loop()
}

func (r *recorder) loop() error {
	tick := time.NewTicker(recordTick)
	defer tick.Stop()
	var spare []*packet
	for {
		select {
		case now := <-tick.C:
			spare = r.take(spare)
			if err := r.drain(now, false); err != nil {
				return err
			}
			if r.frames.needKey {
				r.wantKey()
			}
			if (r.held != nil || len(r.pending) > 0) && now.Sub(r.oldest) >= fragmentMost-recordTick {
				if err := r.flush(true); err != nil {
					return err
				}
			}
		case <-r.quit:
			r.take(spare)
			if err := r.drain(time.Now(), true); err != nil {
				return err
			}
			return r.flush(true)
		}
	}
}

// drain moves what is in order on to the file.
func (r *recorder) drain(now time.Time, all bool) error {
	for {
		p, lost := r.order.pop(now, all)
		if p == nil {
			return nil
		}
		for _, f := range r.frames.push(p, lost) {
			if err := r.add(f); err != nil {
				return err
			}
		}
		if r.frames.needKey {
			r.wantKey()
		}
	}
}

// add takes a picture that is whole and refers to nothing missing.
func (r *recorder) add(f *frame) error {
	t := r.clock.at32(f.ts, f.packets[0].at)
	if r.held != nil {
		r.settle(max(1, t-r.heldAt))
	}
	gap := r.frames.lost && r.begun
	r.frames.lost = false
	if n := len(r.pending); n > 0 && (f.key || gap || t-r.pending[0].dts >= ticks(fragmentCut)) {
		if err := r.flush(false); err != nil {
			return err
		}
	}
	if !r.begun {
		r.begun = true
		head := Fragment{Data: r.writer.header(f), Init: true, Wall: f.packets[0].wall}
		if err := r.file.Append(head); err != nil {
			return err
		}
	}
	r.gap = r.gap || gap
	if len(r.pending) == 0 {
		r.oldest = f.packets[0].at
	}
	r.held, r.heldAt = f, t
	return nil
}

// settle puts the held picture in the fragment under way with that length.
func (r *recorder) settle(duration int64) {
	dts := max(r.heldAt, r.end)
	duration = max(1, r.heldAt+duration-dts)
	r.pending = append(r.pending, sample{frame: r.held, dts: dts, offset: r.heldAt - dts, duration: duration})
	r.end, r.usual, r.held = dts+duration, duration, nil
}

// flush appends the fragment under way; all includes the held picture.
func (r *recorder) flush(all bool) error {
	if all && r.held != nil {
		r.settle(min(r.usual, longestFrame))
	}
	if len(r.pending) == 0 {
		return nil
	}
	first := r.pending[0]
	f := Fragment{
		Data: r.writer.fragment(r.pending), Key: first.frame.key, Gap: r.gap,
		Start: span(first.dts), Duration: span(r.end) - span(first.dts), Wall: first.frame.packets[0].wall,
	}
	r.pending, r.gap = nil, false
	return r.file.Append(f)
}

// stop ends the recording and waits until the file is finished, but no longer
// than closeWait: a disk that hangs must not hold a cut.
func (r *recorder) stop() {
	close(r.quit)
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-r.done:
	case <-t.C:
	}
}
