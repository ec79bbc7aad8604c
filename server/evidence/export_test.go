package evidence

import (
	"bytes"
	"context"
	"image"
	"io"
	"time"
)

// Content is what Inspect told of a file.
type Content = content

// Inspect inspects bytes as if they had been received.
func Inspect(raw []byte) (Content, error) { return inspect(bytes.NewReader(raw), int64(len(raw))) }

// InspectAt inspects a file of any size.
func InspectAt(r io.ReaderAt, size int64) (Content, error) { return inspect(r, size) }

// ReadMetadata reads what a picture says of itself.
func ReadMetadata(raw []byte, contentType string) CaptureMetadata {
	return readMetadata(bytes.NewReader(raw), contentType)
}

// DecodeInChild runs a preview worker.
func DecodeInChild(ctx context.Context, picture io.Reader) ([]byte, error) {
	return decodeInChild(ctx, picture)
}

// Orient turns a picture upright.
func Orient(src *image.RGBA, orientation int) *image.RGBA { return orient(src, orientation) }

// ErrNoPreview says that a picture cannot be decoded.
var ErrNoPreview = errNoPreview

// Latest is the newest instant that is known to have passed.
func (e *Evidence) Latest() time.Time { return e.latest() }

// Abandon leaves a recording as a killed process does: open, unsealed.
func (r *Recording) Abandon() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Close()
}

// CloseFiles closes the files of open uploads, as the end of a process does.
func (e *Evidence) CloseFiles() {
	e.mu.Lock()
	var open []*receiving
	for _, r := range e.uploads {
		open = append(open, r)
	}
	e.mu.Unlock()
	for _, r := range open {
		r.mu.Lock()
		r.close()
		r.mu.Unlock()
	}
}
