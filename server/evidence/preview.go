package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/image/draw"
)

// PreviewArgument is the only argument of a binary that shall be a preview
// worker: main, and TestMain of whoever makes previews, then calls PreviewMain
// and exits.
const PreviewArgument = "preview-worker"

const (
	// previewSide bounds the longer side of a preview, in pixels.
	previewSide = 2048
	// previewQuality is the JPEG quality of a preview.
	previewQuality = 82
	// maxPreview bounds the bytes a worker may answer.
	maxPreview = 8 << 20
	// previewTimeout is when a worker is killed; previewCPU what it may compute.
	previewTimeout = 30 * time.Second
	previewCPU     = 10 // seconds
	// previewMemory steers the worker's collector, previewAddress is its wall.
	previewMemory  = 700 << 20
	previewAddress = 3 << 30
	// previewWorkers is how many pictures are decoded at once.
	previewWorkers = 2
)

// errNoPreview says that a picture cannot be decoded; it is kept all the same.
var errNoPreview = errors.New("evidence: picture cannot be decoded")

// PreviewMain is the whole life of a preview worker: it limits itself, decodes
// the picture on stdin and writes its re-encoded preview to stdout. Only the
// pixels go over, so nothing hidden in the original does.
func PreviewMain(stdin io.Reader, stdout io.Writer) error {
	debug.SetMemoryLimit(previewMemory)
	for resource, limit := range map[int]uint64{syscall.RLIMIT_CPU: previewCPU, syscall.RLIMIT_AS: previewAddress, syscall.RLIMIT_CORE: 0} {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("limit preview worker: %w", err)
		}
	}
	raw, err := io.ReadAll(io.LimitReader(stdin, previewBytes+1))
	if err != nil {
		return fmt.Errorf("read picture: %w", err)
	}
	out, err := makePreview(raw)
	if err != nil {
		return err
	}
	if _, err := stdout.Write(out); err != nil {
		return fmt.Errorf("write preview: %w", err)
	}
	return nil
}

func makePreview(raw []byte) ([]byte, error) {
	cfg, format, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil || len(raw) > previewBytes || int64(cfg.Width)*int64(cfg.Height) > previewPixels {
		return nil, errNoPreview
	}
	src, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, errNoPreview
	}
	small := shrink(src)
	small = orient(small, readMetadata(bytes.NewReader(raw), "image/"+format).Orientation)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, small, &jpeg.Options{Quality: previewQuality}); err != nil {
		return nil, fmt.Errorf("encode preview: %w", err)
	}
	return out.Bytes(), nil
}

// shrink draws a picture on white, no longer than previewSide on a side.
func shrink(src image.Image) *image.RGBA {
	w, h := src.Bounds().Dx(), src.Bounds().Dy()
	if long := max(w, h); long > previewSide {
		w, h = max(1, w*previewSide/long), max(1, h*previewSide/long)
	}
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(dst, dst.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.BiLinear.Scale(dst, dst.Bounds(), src, src.Bounds(), draw.Over, nil)
	return dst
}

// orient turns a picture upright after its EXIF orientation.
func orient(src *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return src
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dw, dh := w, h
	if orientation >= 5 {
		dw, dh = h, w
	}
	dst := image.NewRGBA(image.Rect(0, 0, dw, dh))
	for y := range dh {
		for x := range dw {
			sx, sy := x, y
			switch orientation {
			case 2:
				sx = w - 1 - x
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sy = h - 1 - y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, h-1-x
			case 7:
				sx, sy = w-1-y, h-1-x
			case 8:
				sx, sy = w-1-y, x
			}
			copy(dst.Pix[dst.PixOffset(x, y):][:4], src.Pix[src.PixOffset(sx, sy):][:4])
		}
	}
	return dst
}

// decodeInChild runs a preview worker on a picture. A worker that fails, is
// killed or answers too much means errNoPreview.
func decodeInChild(ctx context.Context, picture io.Reader) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, PreviewArgument)
	cmd.Env = []string{"GOTRACEBACK=none"}
	cmd.Stdin = picture
	cmd.WaitDelay = time.Second
	out := &boundedBuffer{left: maxPreview}
	cmd.Stdout = out
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil && out.b.Len() > 0:
		return out.b.Bytes(), nil
	case err == nil, errors.As(err, &exit), errors.Is(err, errTooMuch), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.EPIPE):
		return nil, errNoPreview
	}
	return nil, fmt.Errorf("run preview worker: %w", err)
}

var errTooMuch = errors.New("evidence: preview worker answers too much")

type boundedBuffer struct {
	b    bytes.Buffer
	left int
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return 0, errTooMuch
	}
	b.left -= len(p)
	return b.b.Write(p)
}
