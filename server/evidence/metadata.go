package evidence

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/bep/imagemeta"
)

const (
	maxTags         = 2000
	maxTagBytes     = 1024
	metadataTimeout = 2 * time.Second
	// maxDeviceText bounds each name a camera wrote of itself.
	maxDeviceText = 100
)

// CaptureMetadata is what a file says of its own making, kept sealed with the
// file's key. What is missing is said plainly: the pointers are nil, the texts
// empty. Nothing of it is believed; it is compared with the report (第4の3(1)).
type CaptureMetadata struct {
	// CapturedAt is the camera's clock; ZoneKnown says that it wrote its zone,
	// else the time is read as Asia/Tokyo.
	CapturedAt *time.Time `json:"capturedAt,omitempty"`
	// TakenAt is the same as written, without a zone where it has none.
	TakenAt   *string  `json:"takenAt,omitempty"`
	ZoneKnown bool     `json:"zoneKnown,omitempty"`
	Latitude  *float64 `json:"latitude,omitempty"`
	Longitude *float64 `json:"longitude,omitempty"`
	Make      string   `json:"make,omitempty"`
	Model     string   `json:"model,omitempty"`
	Software  string   `json:"software,omitempty"`
	// Orientation is the EXIF number, 1 to 8, or 0.
	Orientation int `json:"orientation,omitempty"`
}

var metaFormats = map[string]imagemeta.ImageFormat{
	"image/jpeg": imagemeta.JPEG, "image/png": imagemeta.PNG, "image/webp": imagemeta.WebP,
	"image/heic": imagemeta.HEIF, "image/heif": imagemeta.HEIF, "image/avif": imagemeta.AVIF,
}

var wantedTags = map[string]bool{
	"DateTimeOriginal": true, "DateTime": true, "OffsetTimeOriginal": true, "OffsetTime": true,
	"Make": true, "Model": true, "Software": true, "Orientation": true,
	"GPSLatitude": true, "GPSLatitudeRef": true, "GPSLongitude": true, "GPSLongitudeRef": true,
}

// readMetadata reads a picture's EXIF. A picture without, or with a broken
// one, has none: that is no reason to refuse it.
func readMetadata(r io.ReadSeeker, contentType string) (m CaptureMetadata) {
	format, ok := metaFormats[contentType]
	if !ok {
		return CaptureMetadata{}
	}
	var tags imagemeta.Tags
	err := decodeTags(imagemeta.Options{
		R: r, ImageFormat: format, Sources: imagemeta.EXIF,
		ShouldHandleTag: func(tag imagemeta.TagInfo) bool { return wantedTags[tag.Tag] },
		HandleTag:       func(tag imagemeta.TagInfo) error { tags.Add(tag); return nil },
		Warnf:           func(string, ...any) {},
		Timeout:         metadataTimeout, LimitNumTags: maxTags, LimitTagSize: maxTagBytes,
	})
	if err != nil {
		return CaptureMetadata{}
	}
	exif := tags.EXIF()
	m.Make, m.Model, m.Software = tagText(exif, "Make"), tagText(exif, "Model"), tagText(exif, "Software")
	m.Orientation = tagNumber(exif, "Orientation")
	m.readTime(exif)
	if lat, long, err := tags.GetLatLong(); err == nil && onEarth(lat, long) {
		m.Latitude, m.Longitude = &lat, &long
	}
	return m
}

// decodeTags contains the parser: what it cannot stand must end one file's
// metadata, not the server.
func decodeTags(o imagemeta.Options) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("read metadata: %v", r)
		}
	}()
	_, err = imagemeta.Decode(o)
	return err
}

func onEarth(lat, long float64) bool {
	// A picture without a fix often says 0, 0.
	return math.Abs(lat) <= 90 && math.Abs(long) <= 180 && (lat != 0 || long != 0)
}

func tagText(tags map[string]imagemeta.TagInfo, name string) string {
	s, ok := tags[name].Value.(string)
	if !ok {
		return ""
	}
	return cleanText(s, maxDeviceText)
}

func tagNumber(tags map[string]imagemeta.TagInfo, name string) int {
	var n int
	switch v := tags[name].Value.(type) {
	case uint16:
		n = int(v)
	case uint32:
		n = int(min(v, 9))
	}
	if n < 1 || n > 8 {
		return 0
	}
	return n
}

func (m *CaptureMetadata) readTime(tags map[string]imagemeta.TagInfo) {
	for _, names := range [][2]string{{"DateTimeOriginal", "OffsetTimeOriginal"}, {"DateTime", "OffsetTime"}} {
		clock, zone := tagText(tags, names[0]), tagText(tags, names[1])
		at, err := time.Parse("2006:01:02 15:04:05-07:00", clock+zone)
		if m.ZoneKnown = err == nil; !m.ZoneKnown {
			zone = ""
			if at, err = time.ParseInLocation("2006:01:02 15:04:05", clock, tokyo); err != nil {
				continue
			}
		}
		at = at.UTC()
		written := clock + zone
		m.CapturedAt, m.TakenAt = &at, &written
		return
	}
}

// Device is what took it, as it calls itself; nil where it does not say.
func (m *CaptureMetadata) Device() *string {
	name := strings.TrimSpace(m.Make + " " + m.Model)
	if strings.HasPrefix(m.Model, m.Make) {
		name = m.Model
	}
	if name == "" {
		return nil
	}
	return &name
}

// cleanText keeps what may be shown: no control or direction marks, at most n
// characters.
func cleanText(s string, n int) string {
	var b strings.Builder
	for _, r := range strings.TrimSpace(s) {
		if n == 0 {
			break
		}
		if !printable(r) {
			continue
		}
		b.WriteRune(r)
		n--
	}
	return strings.TrimSpace(b.String())
}

func printable(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f, r == '\ufffd', r == '\ufeff':
		return false
	case r >= '\u200b' && r <= '\u200f', r >= '\u2028' && r <= '\u202e', r >= '\u2060' && r <= '\u206f':
		return false
	}
	return true
}
