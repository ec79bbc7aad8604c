package live_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/server/live"
)

// files writes the recording as it lies on disk, and as it is served.
func files(t *testing.T, x *tape) (plain, served string, frags []live.Fragment) {
	t.Helper()
	frags, _ = x.snapshot()
	require.Greater(t, len(frags), 1)
	require.True(t, frags[0].Init)
	var raw []byte
	var info []live.FragmentInfo
	for i, f := range frags {
		require.Equal(t, i == 0, f.Init)
		if i > 0 {
			raw = append(raw, f.Data...)
			info = append(info, live.FragmentInfo{Size: int64(len(f.Data)), Key: f.Key, Start: f.Start, Duration: f.Duration})
		}
	}
	head, err := live.Head(x.track.ContentType, frags[0].Data, info)
	require.NoError(t, err)
	dir := t.TempDir()
	ext := strings.ReplaceAll(x.track.ContentType, "video/", ".")
	plain, served = filepath.Join(dir, "plain"+ext), filepath.Join(dir, "served"+ext)
	require.NoError(t, os.WriteFile(plain, append(append([]byte{}, frags[0].Data...), raw...), 0o600))
	require.NoError(t, os.WriteFile(served, append(head, raw...), 0o600))
	return plain, served, frags
}

// duration is what a player is told before it has read the file.
func duration(t *testing.T, file string) float64 {
	t.Helper()
	var out struct{ Format struct{ Duration string } }
	require.NoError(t, json.Unmarshal([]byte(run(t, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "json", file)), &out))
	d, err := strconv.ParseFloat(out.Format.Duration, 64)
	require.NoError(t, err)
	return d
}

// pictures decodes the whole file, which must give no error, and counts.
func pictures(t *testing.T, file string) int {
	t.Helper()
	require.Empty(t, run(t, "ffmpeg", "-v", "error", "-xerror", "-i", file, "-fps_mode", "vfr", "-f", "null", "-"))
	out := run(t, "ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", file)
	n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(out), ","))
	require.NoError(t, err, out)
	return n
}

// checkRecording says that the tape is a good file of at least so many pictures.
func checkRecording(t *testing.T, x *tape, least int) []live.Fragment {
	t.Helper()
	plain, served, frags := files(t, x)
	require.GreaterOrEqual(t, pictures(t, plain), least)
	require.GreaterOrEqual(t, pictures(t, served), least)
	last := frags[len(frags)-1]
	total := last.Start + last.Duration
	require.InDelta(t, total.Seconds(), duration(t, served), 0.06)
	var end time.Duration
	for i, f := range frags[1:] {
		require.LessOrEqual(t, f.Duration, 600*time.Millisecond)
		require.GreaterOrEqual(t, f.Start, end)
		require.False(t, f.Wall.IsZero())
		if i == 0 || f.Gap {
			require.True(t, f.Key, "what follows a gap stands alone")
		}
		end = f.Start + f.Duration
	}
	// A file that ends early, as after a kill, plays as far as it goes.
	var part []byte
	for _, f := range frags[:1+len(frags)/2] {
		part = append(part, f.Data...)
	}
	torn := plain + ".torn"
	require.NoError(t, os.WriteFile(torn, part, 0o600))
	require.Positive(t, pictures(t, torn))
	// Seeking lands on a picture that decodes.
	at := strconv.FormatFloat(total.Seconds()/2, 'f', 3, 64)
	require.Empty(t, run(t, "ffmpeg", "-v", "error", "-xerror", "-ss", at, "-i", served, "-frames:v", "5", "-fps_mode", "vfr", "-f", "null", "-"))
	return frags
}

func TestPublishAndWatch(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypeH264, webrtc.MimeTypeVP8} {
		t.Run(strings.TrimPrefix(mime, "video/")+" flows and is recorded", func(t *testing.T) {
			h := newHouse(t)
			c := makeClip(t, mime, "320x240", 3, 500)
			early := mustScreen(t, h, "s1", "viewer1")
			x := mustPhone(t, h, phoneSetup{mime: mime, token: "phone1", session: "s1"})
			x.play(true, c)
			early.sees(t, 30)
			require.True(t, h.Live("s1"))
			late := mustScreen(t, h, "s1", "viewer2")
			late.sees(t, 20)
			wait(t, "too few pictures sent", func() bool { return x.sent.Load() > 90 })
			h.Close("s1")
			require.False(t, h.Live("s1"))
			require.True(t, h.has(live.Connected, ""))
			require.True(t, h.has(live.Ended, live.ReasonClosed))
			require.True(t, h.has(live.ViewerJoined, ""))
			require.Zero(t, early.jumps.Load())
			rec := h.tape(0)
			_, closed := rec.snapshot()
			require.True(t, closed)
			frags := checkRecording(t, rec, 60)
			plain, _, _ := files(t, rec)
			last := frags[len(frags)-1]
			require.InDelta(t, float64(pictures(t, plain))/30, (last.Start + last.Duration).Seconds(), 0.1, "time is the stream's own")
			require.Equal(t, live.Track{
				ContentType: map[string]string{webrtc.MimeTypeH264: "video/mp4", webrtc.MimeTypeVP8: "video/webm"}[mime],
				Codec:       strings.ToLower(strings.TrimPrefix(mime, "video/")),
			}, rec.track)
		})
	}
}

func TestRecordingUnderLoss(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypeH264, webrtc.MimeTypeVP8} {
		for _, deaf := range []bool{false, true} {
			name := strings.TrimPrefix(mime, "video/") + " with loss, reordering and new sizes decodes without error"
			least := 150
			if deaf {
				name, least = name+" though nothing is repaired", 20
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				small, large := makeClip(t, mime, "320x240", 2, 400), makeClip(t, mime, "640x480", 2, 1500)
				x := mustPhone(t, h, phoneSetup{mime: mime, token: "phone1", session: "s1", deaf: deaf, weather: &weather{loss: 0.05, shuffle: true}})
				x.play(true, small, large)
				wait(t, "too few pictures sent", func() bool { return x.sent.Load() > 240 })
				h.Close("s1")
				frags := checkRecording(t, h.tape(0), least)
				gaps := 0
				for _, f := range frags {
					if f.Gap {
						gaps++
					}
				}
				if deaf {
					require.Positive(t, gaps, "what was lost is said")
				}
			})
		}
	}
}
