package evidence

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // the decoders whose headers are read for dimensions
	_ "image/png"
	"io"
	"time"

	"github.com/gabriel-vasile/mimetype"
	_ "golang.org/x/image/webp" // as above

	"genba/server/problem"
)

const (
	// sniffBytes is how much of a file its type is told from.
	sniffBytes = 3072
	// maxImageHeader bounds what is read of an image for its dimensions; large
	// colour profiles and thumbnails stand before them.
	maxImageHeader = 8 << 20

	// previewPixels and previewBytes bound what is decoded for a preview;
	// larger pictures are stored and exported all the same.
	previewPixels = 50_000_000
	previewBytes  = 50 << 20
)

// content is what a file is by its bytes, whatever its name or sender said.
type content struct {
	Type          string
	Kind          Kind
	Width, Height int
	Duration      time.Duration
	// Created is what a video says of the time it was begun; zero if nothing.
	Created time.Time
	// Previewable says that the picture is one we decode.
	Previewable bool
}

// accepted maps what the detector says to what we store and serve.
var accepted = map[string]string{
	"image/jpeg": "image/jpeg", "image/png": "image/png", "image/apng": "image/png", "image/webp": "image/webp",
	"image/heic": "image/heic", "image/heic-sequence": "image/heic",
	"image/heif": "image/heif", "image/heif-sequence": "image/heif", "image/avif": "image/avif",
	"video/mp4": "video/mp4", "video/x-m4v": "video/mp4", "video/quicktime": "video/quicktime",
	"video/webm": "video/webm", "video/3gpp": "video/3gpp", "video/3gpp2": "video/3gpp2",
}

// sniff tells the type from the first bytes. What is not on the list is
// UnsupportedType.
func sniff(head []byte) (string, error) {
	t, ok := accepted[mimetype.Detect(head[:min(len(head), sniffBytes)]).String()]
	if !ok {
		return "", problem.New(problem.UnsupportedType)
	}
	return t, nil
}

// inspect reads the whole shape of a received file: type by content, dimensions
// before any decoding, box sizes against the file's length. A file of a type we
// take that is malformed is FileBroken.
func inspect(r io.ReaderAt, size int64) (content, error) {
	head := make([]byte, min(size, sniffBytes))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return content{}, fmt.Errorf("inspect file: %w", err)
	}
	t, err := sniff(head)
	if err != nil {
		return content{}, err
	}
	c := content{Type: t, Kind: KindPhoto}
	switch t {
	case "image/jpeg", "image/png", "image/webp":
		limited := io.NewSectionReader(r, 0, min(size, maxImageHeader))
		cfg, _, err := image.DecodeConfig(bufio.NewReader(limited))
		if err != nil || cfg.Width <= 0 || cfg.Height <= 0 {
			return content{}, problem.Wrap(problem.FileBroken, err)
		}
		c.Width, c.Height = cfg.Width, cfg.Height
		c.Previewable = size <= previewBytes && int64(cfg.Width)*int64(cfg.Height) <= previewPixels
	case "image/heic", "image/heif", "image/avif":
		if _, err := inspectBoxes(r, size, false); err != nil {
			return content{}, err
		}
	case "video/webm":
		c.Kind = KindVideo
		if c.Duration, err = inspectWebM(r, size); err != nil {
			return content{}, err
		}
	default:
		c.Kind = KindVideo
		shape, err := inspectBoxes(r, size, true)
		if err != nil {
			return content{}, err
		}
		c.Width, c.Height, c.Duration, c.Created = shape.width, shape.height, shape.duration, shape.created
	}
	return c, nil
}
