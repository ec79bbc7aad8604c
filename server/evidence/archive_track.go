package evidence

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"html/template"
	"slices"
	"time"

	"genba/server/cases"
)

// What of an archive is made for reading, and leaves in no other way: where the
// phones went, and pages to print (第6の2, 第6の5).
const (
	archiveTracks = "tracks/"
	archivePrints = "prints.html"

	trackBatch = 1000
)

// manifestTrack is where the phones of one video report were, as a GPX file.
type manifestTrack struct {
	Path    string `json:"path"`
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
	Session string `json:"session"`
	Points  int    `json:"points"`
}

// gpx is GPX 1.1. What it has no name for stands in extensions of our own.
type gpx struct {
	XMLName  xml.Name `xml:"http://www.topografix.com/GPX/1/1 gpx"`
	Version  string   `xml:"version,attr"`
	Creator  string   `xml:"creator,attr"`
	Name     string   `xml:"metadata>name"`
	Desc     string   `xml:"metadata>desc"`
	Segments []gpxSeg `xml:"trk>trkseg"`
}

type gpxSeg struct {
	Points []gpxPoint `xml:"trkpt"`
}

type gpxPoint struct {
	Latitude  float64  `xml:"lat,attr"`
	Longitude float64  `xml:"lon,attr"`
	Altitude  *float64 `xml:"ele,omitempty"`
	// At is the time that the phone gave.
	At     string   `xml:"time"`
	Beside gpxExtra `xml:"extensions>fix"`
}

type gpxExtra struct {
	XMLNS    string   `xml:"xmlns,attr"`
	Accuracy float64  `xml:"accuracy"`
	Heading  *float64 `xml:"heading,omitempty"`
	Speed    *float64 `xml:"speed,omitempty"`
	// Received is the server's time.
	Received string `xml:"received"`
	Sequence int    `xml:"sequence"`
}

const trackSpace = "urn:genba:track:1"

// writeTracks writes the fixes of every video report that a file in the archive
// belongs to, each phone's as a segment of its own.
func (e *Evidence) writeTracks(ctx context.Context, a *archive, m *Manifest) error {
	var sessions []string
	for _, f := range m.Files {
		if !slices.Contains(sessions, f.Session) {
			sessions = append(sessions, f.Session)
		}
	}
	for i, session := range sessions {
		fixes, err := e.fixes(ctx, m.Agency.ID, session)
		if err != nil {
			return err
		}
		if len(fixes) == 0 {
			continue
		}
		text, err := track(m, session, fixes)
		if err != nil {
			return err
		}
		t := manifestTrack{Path: fmt.Sprintf("%s%04d-%s.gpx", archiveTracks, i+1, session), Size: int64(len(text)), Session: session, Points: len(fixes)}
		sum, err := a.text(t.Path, text)
		if err != nil {
			return err
		}
		t.SHA256 = hex.EncodeToString(sum)
		m.Tracks = append(m.Tracks, t)
	}
	return nil
}

// fixes reads a video report's positions, oldest first.
func (e *Evidence) fixes(ctx context.Context, agency, session string) ([]*cases.Position, error) {
	var all []*cases.Position
	for below := 0; ; {
		some, err := e.Cases.Positions(ctx, agency, session, below, trackBatch)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < trackBatch {
			slices.Reverse(all)
			return all, nil
		}
		below = some[len(some)-1].Sequence
	}
}

func track(m *Manifest, session string, fixes []*cases.Position) ([]byte, error) {
	g := gpx{Version: "1.1", Creator: "Genba", Name: m.Case.Number + " " + session}
	for i, mark := range m.Marks {
		if i > 0 {
			g.Desc += " / "
		}
		g.Desc += mark
	}
	phone := ""
	for _, p := range fixes {
		if p.PhoneID != phone || len(g.Segments) == 0 {
			phone = p.PhoneID
			g.Segments = append(g.Segments, gpxSeg{})
		}
		seg := &g.Segments[len(g.Segments)-1]
		seg.Points = append(seg.Points, gpxPoint{
			Latitude: p.Latitude, Longitude: p.Longitude, Altitude: p.Altitude, At: p.CapturedAt.UTC().Format(time.RFC3339Nano),
			Beside: gpxExtra{
				XMLNS: trackSpace, Accuracy: p.Accuracy, Heading: p.Heading, Speed: p.Speed, Received: p.ReceivedAt.UTC().Format(time.RFC3339Nano), Sequence: p.Sequence,
			},
		})
	}
	text, err := xml.MarshalIndent(g, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write track: %w", err)
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}

//go:embed archive_prints.html
var printsText string

var printsTemplate = template.Must(template.New("prints").Funcs(archiveWords).Parse(printsText))

// printedTypes are the kinds of pictures that any browser shows.
var printedTypes = []string{"image/jpeg", "image/png", "image/webp"}

// renderPrints makes a page a picture, with its marks on each (第6の2). The
// pictures themselves are the originals beside it. nil where there is none.
func renderPrints(m *Manifest) ([]byte, error) {
	var pictures []ManifestFile
	for _, f := range m.Files {
		if slices.Contains(printedTypes, f.ContentType) {
			pictures = append(pictures, f)
		}
	}
	if len(pictures) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	err := printsTemplate.Execute(&b, struct {
		*Manifest
		Pictures []ManifestFile
	}{m, pictures})
	if err != nil {
		return nil, fmt.Errorf("write prints: %w", err)
	}
	return b.Bytes(), nil
}
