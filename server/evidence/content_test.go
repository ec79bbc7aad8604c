package evidence_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/evidence"
	"genba/server/problem"
)

func box(kind string, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(body))), kind...), body...)
}

func ftyp(brand string) []byte { return box("ftyp", []byte(brand), make([]byte, 4), []byte(brand)) }

func mvhd(scale, duration uint32) []byte {
	b := make([]byte, 100)
	binary.BigEndian.PutUint32(b[4:], 2_082_844_800+1_795_403_910) // 2026-11-23T02:58:30Z
	binary.BigEndian.PutUint32(b[12:], scale)
	binary.BigEndian.PutUint32(b[16:], duration)
	return box("mvhd", b)
}

func tkhd(w, h uint16) []byte {
	b := make([]byte, 84)
	binary.BigEndian.PutUint16(b[76:], w)
	binary.BigEndian.PutUint16(b[80:], h)
	return box("tkhd", b)
}

func mp4Of(brand string, data int) []byte {
	return bytes.Join([][]byte{ftyp(brand), box("moov", mvhd(1000, 2500), box("trak", tkhd(1280, 720))), box("mdat", make([]byte, data))}, nil)
}

// ebml makes one element with an 8-byte size.
func ebml(id uint32, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	out := bytes.TrimLeft(binary.BigEndian.AppendUint32(nil, id), "\x00")
	return append(binary.BigEndian.AppendUint64(out, 1<<56|uint64(len(body))), body...)
}

func webmOf(clusters ...[]byte) []byte {
	duration := binary.BigEndian.AppendUint64(nil, math.Float64bits(1500))
	info := ebml(0x1549A966, ebml(0x2AD7B1, []byte{0x0f, 0x42, 0x40}), ebml(0x4489, duration))
	return append(ebml(0x1A45DFA3, ebml(0x4282, []byte("webm"))), ebml(0x18538067, append([][]byte{info}, clusters...)...)...)
}

func cluster(n int) []byte {
	return ebml(0x1F43B675, ebml(0xE7, []byte{0}), ebml(0xA3, make([]byte, n)))
}

var filmed = time.Unix(1_795_403_910, 0).UTC()

func TestInspectAccepts(t *testing.T) {
	webp, err := base64.StdEncoding.DecodeString("UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAgA0JaQAA3AA/vuUAAA=")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		raw  []byte
		want evidence.Content
	}{
		"jpeg":                {jpegOf(t, 30, 20), evidence.Content{Type: "image/jpeg", Kind: evidence.KindPhoto, Width: 30, Height: 20, Previewable: true}},
		"png":                 {pngOf(t, 30, 20), evidence.Content{Type: "image/png", Kind: evidence.KindPhoto, Width: 30, Height: 20, Previewable: true}},
		"webp":                {webp, evidence.Content{Type: "image/webp", Kind: evidence.KindPhoto, Width: 1, Height: 1, Previewable: true}},
		"heic, kept inert":    {append(ftyp("heic"), box("meta", make([]byte, 20))...), evidence.Content{Type: "image/heic", Kind: evidence.KindPhoto}},
		"avif, kept inert":    {append(ftyp("avif"), box("meta", make([]byte, 20))...), evidence.Content{Type: "image/avif", Kind: evidence.KindPhoto}},
		"mp4":                 {mp4Of("isom", 5000), evidence.Content{Type: "video/mp4", Kind: evidence.KindVideo, Width: 1280, Height: 720, Duration: 2500 * time.Millisecond, Created: filmed}},
		"quicktime":           {mp4Of("qt  ", 5000), evidence.Content{Type: "video/quicktime", Kind: evidence.KindVideo, Width: 1280, Height: 720, Duration: 2500 * time.Millisecond, Created: filmed}},
		"3gpp":                {mp4Of("3gp4", 5000), evidence.Content{Type: "video/3gpp", Kind: evidence.KindVideo, Width: 1280, Height: 720, Duration: 2500 * time.Millisecond, Created: filmed}},
		"webm":                {webmOf(cluster(100), cluster(200)), evidence.Content{Type: "video/webm", Kind: evidence.KindVideo, Duration: 1500 * time.Millisecond}},
		"huge picture, inert": {pngHeader(30000, 30000), evidence.Content{Type: "image/png", Kind: evidence.KindPhoto, Width: 30000, Height: 30000}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := evidence.Inspect(c.raw)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// pngHeader claims a size and holds no pixels.
func pngHeader(w, h uint32) []byte {
	ihdr := append([]byte("IHDR"), 0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0)
	binary.BigEndian.PutUint32(ihdr[4:], w)
	binary.BigEndian.PutUint32(ihdr[8:], h)
	out := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	return binary.BigEndian.AppendUint32(append(out, ihdr...), crc32.ChecksumIEEE(ihdr))
}

func TestInspectRefuses(t *testing.T) {
	endless := binary.BigEndian.AppendUint64(append([]byte{0, 0, 0, 1}, "mdat"...), 1<<40)
	loop := bytes.Repeat(box("free"), 30_000)
	nested := box("moov")
	for range 20 {
		nested = box("moov", nested)
	}
	whole := mp4Of("isom", 5000)
	for name, c := range map[string]struct {
		raw    []byte
		reason problem.Reason
	}{
		"empty":                        {nil, problem.UnsupportedType},
		"svg":                          {[]byte("<svg xmlns='http://www.w3.org/2000/svg'/>"), problem.UnsupportedType},
		"html":                         {[]byte("<html><script>"), problem.UnsupportedType},
		"pdf":                          {[]byte("%PDF-1.4"), problem.UnsupportedType},
		"gif":                          {[]byte("GIF89a"), problem.UnsupportedType},
		"matroska":                     {append(ebml(0x1A45DFA3, ebml(0x4282, []byte("matroska"))), cluster(1)...), problem.UnsupportedType},
		"jpeg without a picture":       {[]byte("\xff\xd8\xff\xe0\x00\x10JFIF"), problem.FileBroken},
		"box of a terabyte":            {append(mp4Of("isom", 100), endless...), problem.FileBroken},
		"cut off":                      {whole[:len(whole)-1], problem.FileBroken},
		"stray bytes":                  {append(bytes.Clone(whole), 1, 2, 3), problem.FileBroken},
		"endless boxes":                {append(bytes.Clone(whole), loop...), problem.FileBroken},
		"boxes in boxes":               {append(ftyp("isom"), nested...), problem.FileBroken},
		"no data":                      {append(ftyp("isom"), box("moov", mvhd(1, 1))...), problem.FileBroken},
		"child larger than its parent": {append(append(ftyp("isom"), box("moov", []byte{0, 0, 1, 0, 't', 'r', 'a', 'k'})...), box("mdat")...), problem.FileBroken},
		"webm without clusters":        {webmOf(), problem.FileBroken},
		"webm cut off":                 {webmOf(cluster(100))[:120], problem.FileBroken},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			_, err := evidence.Inspect(c.raw)
			requireProblem(t, err, c.reason)
			require.Less(t, time.Since(begun), 2*time.Second)
		})
	}
}

// sparse is a file of that size whose head is given and whose rest is zeros.
type sparse struct {
	head []byte
	size int64
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), max(0, s.size-off)))
	clear(p[:n])
	if off < int64(len(s.head)) {
		copy(p[:n], s.head[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestLargeFilesAreInspectedByTheirBoxesAlone(t *testing.T) {
	head := append(ftyp("isom"), box("moov", mvhd(1000, 1000))...)
	size := int64(2 << 30)
	mdat := binary.BigEndian.AppendUint64(append([]byte{0, 0, 0, 1}, "mdat"...), uint64(size)-uint64(len(head)))
	c, err := evidence.InspectAt(sparse{append(head, mdat...), size}, size)
	require.NoError(t, err)
	require.Equal(t, time.Second, c.Duration)
}

func FuzzInspect(f *testing.F) {
	for _, raw := range [][]byte{mp4Of("isom", 50), mp4Of("qt  ", 5), webmOf(cluster(5)), append(ftyp("heic"), box("meta")...), {}} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := evidence.Inspect(raw)
		if err == nil && (c.Type == "" || c.Duration < 0) {
			t.Fatalf("accepted as %+v", c)
		}
		if err != nil && !problem.Is(err, problem.UnsupportedType) && !problem.Is(err, problem.FileBroken) {
			t.Fatalf("refused without a reason: %v", err)
		}
	})
}

// exifOf is an APP1 segment with the given tags of IFD0 and of the Exif IFD.
func withEXIF(t testing.TB, raw []byte, orientation uint16, taken, offset, device string, lat, long float64) []byte {
	t.Helper()
	order := binary.BigEndian
	type tag struct {
		id, kind uint16
		count    uint32
		value    []byte
	}
	text := func(id uint16, s string) tag { return tag{id, 2, uint32(len(s) + 1), append([]byte(s), 0)} }
	degrees := func(id uint16, v float64) tag {
		v = math.Abs(v)
		whole, minutes := math.Floor(v), (v-math.Floor(v))*60
		b := order.AppendUint32(nil, uint32(whole))
		b = order.AppendUint32(b, 1)
		b = order.AppendUint32(b, uint32(math.Floor(minutes)))
		b = order.AppendUint32(b, 1)
		b = order.AppendUint32(b, uint32((minutes-math.Floor(minutes))*60*10000))
		return tag{id, 5, 3, order.AppendUint32(b, 10000)}
	}
	ref := func(v float64, plus, minus string) string {
		if v < 0 {
			return minus
		}
		return plus
	}
	long32 := func(id uint16, v uint32) tag { return tag{id, 4, 1, order.AppendUint32(nil, v)} }
	exif := []tag{text(0x9003, taken), text(0x9011, offset)}
	gps := []tag{text(1, ref(lat, "N", "S")), degrees(2, lat), text(3, ref(long, "E", "W")), degrees(4, long)}
	ifd := func(at uint32, tags []tag) []byte {
		out := order.AppendUint16(nil, uint16(len(tags)))
		var more []byte
		base := at + 2 + uint32(12*len(tags)) + 4
		for _, g := range tags {
			out = order.AppendUint16(order.AppendUint16(out, g.id), g.kind)
			out = order.AppendUint32(out, g.count)
			if len(g.value) <= 4 {
				out = append(out, append(bytes.Clone(g.value), 0, 0, 0, 0)[:4]...)
				continue
			}
			out = order.AppendUint32(out, base+uint32(len(more)))
			more = append(more, g.value...)
		}
		return append(order.AppendUint32(out, 0), more...)
	}
	main := func(exifAt, gpsAt uint32) []tag {
		return []tag{text(0x010f, "Genba"), text(0x0110, device), {0x0112, 3, 1, order.AppendUint16(nil, orientation)}, long32(0x8769, exifAt), long32(0x8825, gpsAt)}
	}
	exifAt := 8 + uint32(len(ifd(8, main(0, 0))))
	gpsAt := exifAt + uint32(len(ifd(exifAt, exif)))
	tiff := bytes.Join([][]byte{[]byte("MM\x00\x2a\x00\x00\x00\x08"), ifd(8, main(exifAt, gpsAt)), ifd(exifAt, exif), ifd(gpsAt, gps)}, nil)
	app1 := append([]byte("Exif\x00\x00"), tiff...)
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1}, order.AppendUint16(nil, uint16(len(app1)+2))...)
	return append(append(out, app1...), raw[2:]...)
}

func TestMetadata(t *testing.T) {
	plain := jpegOf(t, 40, 20)
	t.Run("time with its zone, place and device are read", func(t *testing.T) {
		m := evidence.ReadMetadata(withEXIF(t, plain, 6, "2026:11:23 11:58:30", "+09:00", "Phone 7", 37.7503, 140.4676), "image/jpeg")
		require.True(t, m.CapturedAt.Equal(time.Date(2026, 11, 23, 2, 58, 30, 0, time.UTC)))
		require.True(t, m.ZoneKnown)
		require.Equal(t, "2026:11:23 11:58:30+09:00", *m.TakenAt)
		require.InDelta(t, 37.7503, *m.Latitude, 1e-4)
		require.InDelta(t, 140.4676, *m.Longitude, 1e-4)
		require.Equal(t, "Genba Phone 7", *m.Device())
		require.Equal(t, 6, m.Orientation)
	})
	t.Run("a time without a zone is said to be one", func(t *testing.T) {
		m := evidence.ReadMetadata(withEXIF(t, plain, 1, "2026:11:23 11:58:30", "", "X", 0, 0), "image/jpeg")
		require.False(t, m.ZoneKnown)
		require.Equal(t, "2026:11:23 11:58:30", *m.TakenAt)
		require.Nil(t, m.Latitude, "0, 0 is no fix")
	})
	t.Run("texts are made harmless", func(t *testing.T) {
		m := evidence.ReadMetadata(withEXIF(t, plain, 99, "yesterday", "", "\u202eevil\r\n<script>", 0, 0), "image/jpeg")
		require.Equal(t, "evil<script>", m.Model)
		require.Nil(t, m.CapturedAt)
		require.Zero(t, m.Orientation)
	})
	t.Run("none is none", func(t *testing.T) {
		require.Equal(t, evidence.CaptureMetadata{}, evidence.ReadMetadata(plain, "image/jpeg"))
		require.Equal(t, evidence.CaptureMetadata{}, evidence.ReadMetadata([]byte("junk"), "image/jpeg"))
		require.Equal(t, evidence.CaptureMetadata{}, evidence.ReadMetadata(mp4Of("isom", 5), "video/mp4"))
		require.Nil(t, (&evidence.CaptureMetadata{}).Device())
	})
}

func FuzzMetadata(f *testing.F) {
	raw := jpegOf(f, 8, 8)
	f.Add(withEXIF(f, raw, 6, "2026:11:23 11:58:30", "+09:00", "Phone", 37, 140))
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := evidence.ReadMetadata(raw, "image/jpeg")
		if m.Latitude != nil && (math.Abs(*m.Latitude) > 90 || math.IsNaN(*m.Latitude)) {
			t.Fatalf("latitude %v", *m.Latitude)
		}
	})
}

func TestPreviewWorker(t *testing.T) {
	decode := func(t *testing.T, raw []byte) (image.Image, error) {
		t.Helper()
		out, err := evidence.DecodeInChild(t.Context(), bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		m, err := jpeg.Decode(bytes.NewReader(out))
		require.NoError(t, err)
		return m, nil
	}
	t.Run("large pictures are made small, small ones stay", func(t *testing.T) {
		m, err := decode(t, jpegOf(t, 3000, 1500))
		require.NoError(t, err)
		require.Equal(t, image.Pt(2048, 1024), m.Bounds().Size())
		m, err = decode(t, pngOf(t, 30, 50))
		require.NoError(t, err)
		require.Equal(t, image.Pt(30, 50), m.Bounds().Size())
	})
	t.Run("turned upright, and nothing hidden goes over", func(t *testing.T) {
		raw := withEXIF(t, jpegOf(t, 40, 20), 6, "2026:11:23 11:58:30", "+09:00", "CANARY", 37, 140)
		out, err := evidence.DecodeInChild(t.Context(), bytes.NewReader(append(raw, "<script>CANARY</script>"...)))
		require.NoError(t, err)
		require.NotContains(t, string(out), "CANARY")
		require.NotContains(t, string(out), "Exif")
		m, err := jpeg.Decode(bytes.NewReader(out))
		require.NoError(t, err)
		require.Equal(t, image.Pt(20, 40), m.Bounds().Size())
	})
	t.Run("bombs and junk give no preview", func(t *testing.T) {
		for name, raw := range map[string][]byte{
			"claims 900 megapixels": pngHeader(30000, 30000), "cut off": jpegOf(t, 500, 500)[:2000], "empty": nil, "gif": []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"),
		} {
			_, err := decode(t, raw)
			require.ErrorIs(t, err, evidence.ErrNoPreview, name)
		}
	})
}

func TestOrientations(t *testing.T) {
	// A 2×1 picture: red, then blue.
	src := image.NewRGBA(image.Rect(0, 0, 2, 1))
	red, blue := color.RGBA{255, 0, 0, 255}, color.RGBA{0, 0, 255, 255}
	src.Set(0, 0, red)
	src.Set(1, 0, blue)
	for orientation, want := range map[int][]color.RGBA{
		0: {red, blue}, 1: {red, blue}, 2: {blue, red}, 3: {blue, red}, 4: {red, blue},
		5: {red, blue}, 6: {red, blue}, 7: {blue, red}, 8: {blue, red}, 9: {red, blue},
	} {
		m := evidence.Orient(src, orientation)
		size := image.Pt(2, 1)
		if orientation >= 5 && orientation <= 8 {
			size = image.Pt(1, 2)
		}
		require.Equal(t, size, m.Rect.Size(), "%d", orientation)
		last := m.Rect.Size().Sub(image.Pt(1, 1))
		require.Equal(t, want, []color.RGBA{m.RGBAAt(0, 0), m.RGBAAt(last.X, last.Y)}, "%d", orientation)
	}
}
