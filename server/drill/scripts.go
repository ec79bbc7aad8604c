package drill

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"

	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
)

// The clips and photos are drawings of our own (clips/draw.go).
//
//go:embed clips/*.ivf clips/*.jpg
var clips embed.FS

// place is where a caller of a script stands, and how far they walk between two
// fixes.
type place struct{ latitude, longitude, north, east float64 }

var places = map[string]place{
	"TRAFFIC": {37.75472, 140.45972, 0, 0.00001},
	"FLOOD":   {37.74210, 140.46811, 0.00002, 0},
	"WALKER":  {37.76015, 140.47330, 0.00003, 0.00004},
}

var files = map[string]string{"TRAFFIC": "traffic", "FLOOD": "flood", "WALKER": "walker"}

// Scripts lists what can be played.
func Scripts() []string { return []string{"TRAFFIC", "FLOOD", "WALKER"} }

func photo(script string) ([]byte, error) {
	return clips.ReadFile("clips/" + files[script] + ".jpg")
}

// film is a clip: a picture an element, and which of them stand alone.
type film struct {
	frames [][]byte
	keys   []bool
	rate   int
}

func filmOf(script string) (*film, error) {
	data, err := clips.ReadFile("clips/" + files[script] + ".ivf")
	if err != nil {
		return nil, fmt.Errorf("drill: read clip: %w", err)
	}
	r, head, err := ivfreader.NewWith(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("drill: read clip: %w", err)
	}
	f := &film{rate: int(head.TimebaseDenominator / max(head.TimebaseNumerator, 1))}
	for {
		frame, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, fmt.Errorf("drill: read clip: %w", err)
		}
		f.frames, f.keys = append(f.frames, frame), append(f.keys, frame[0]&1 == 0)
	}
}
