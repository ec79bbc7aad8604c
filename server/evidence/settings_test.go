package evidence_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/database/dbtest"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/problem"
)

// set stores one of the agency's settings over the default ones.
func (s *scene) set(setting string, value any) {
	s.t.Helper()
	text, err := json.Marshal(map[string]any{setting: value})
	require.NoError(s.t, err)
	var to identity.Settings
	require.NoError(s.t, json.Unmarshal(text, &to))
	require.NoError(s.t, s.identity.SetSettings(s.ctx(), s.dispatcher, s.agency.ID, to))
}

// 第6の4: whatever an agency sets, at its least and at its most, moves no due
// time: neither of what is there already nor of what comes after.
func TestNoSettingTouchesADueTime(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		data := jpegOf(t, 300, 200)
		before := s.upload(data)
		require.NotNil(t, before.DueAt)
		type step struct {
			setting string
			value   any
		}
		var steps []step
		for _, b := range identity.Bounds() {
			least := b.Min
			if b.Setting == "sessionFiles" || b.Setting == "sessionMegabytes" {
				least = 100 // room for what this test sends
			}
			steps = append(steps, step{b.Setting, least}, step{b.Setting, b.Max})
		}
		steps = append(steps, step{"languages", []string{"en"}}, step{"watermark", identity.Across}, step{"passwords", false}, step{"authenticators", []string{"01020304-0506-0708-0102-030405060708"}})
		seen := map[string]bool{}
		for _, to := range steps {
			s.set(to.setting, to.value)
			seen[to.setting] = true
			m := s.upload(data)
			due, day := evidence.Due(*m.AcquiredAt)
			require.True(t, due.Equal(*m.DueAt), "%s = %v", to.setting, to.value)
			require.Equal(t, day, m.DueDay)
			require.True(t, before.DueAt.Equal(*s.row(before.ID).DueAt), "%s = %v", to.setting, to.value)
			dbtest.ClockOf(s.db).Advance(time.Minute)
		}
		text, err := json.Marshal(identity.Settings{Authenticators: []string{"x"}})
		require.NoError(t, err)
		var all map[string]any
		require.NoError(t, json.Unmarshal(text, &all))
		delete(all, "callerCode") // changed by its own switch, which knows nothing of files
		for setting := range all {
			require.True(t, seen[setting], "%s was not tried", setting)
		}
		_, err = s.identity.SetCallerCode(s.ctx(), s.supervisor, s.agency.ID, true, "試験", nil)
		require.NoError(t, err)
		m := s.upload(data)
		due, _ := evidence.Due(*m.AcquiredAt)
		require.True(t, due.Equal(*m.DueAt))
	})
}

// What an agency sets bounds the next file: how large it may be, and what the
// caller may send in all, live video included (第4の2(2)エ).
func TestFileSizeAndDataCapAreSettings(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		begin := func(size int64) error {
			_, err := s.Begin(s.ctx(), s.phone, evidence.BeginUpload{Kind: evidence.KindVideo, Capture: evidence.CaptureNow, Size: size})
			return err
		}
		s.set("fileMegabytes", 3)
		requireProblem(t, begin(3<<20+1), problem.TooLarge)
		require.NoError(t, begin(3<<20))

		s.set("dataMegabytes", 10)
		require.NoError(t, s.WithinData(s.ctx(), s.phone))
		r, err := s.Record(s.ctx(), s.phone, s.session.ID, "video/mp4")
		require.NoError(t, err)
		fragment := evidence.Fragment{Data: make([]byte, 4<<20), Init: true, Key: true, Duration: time.Second, Wall: s.db.Now()}
		require.NoError(t, r.Append(fragment))
		got, err := s.Received(s.ctx(), s.session.ID)
		require.NoError(t, err)
		require.EqualValues(t, 7<<20, got, "live video counts while it comes in")
		requireProblem(t, begin(3<<20+1), problem.QuotaFull)
		over, err := s.OverData(s.ctx())
		require.NoError(t, err)
		require.Empty(t, over)
		fragment.Init = false
		require.NoError(t, r.Append(fragment))
		over, err = s.OverData(s.ctx())
		require.NoError(t, err)
		require.Equal(t, []evidence.Live{{Session: s.session.ID, Phone: s.phone.ID}}, over)
		requireProblem(t, s.WithinData(s.ctx(), s.phone), problem.QuotaFull)
		require.NoError(t, r.Close())
		requireProblem(t, s.WithinData(s.ctx(), s.phone), problem.QuotaFull)
		over, err = s.OverData(s.ctx())
		require.NoError(t, err)
		require.Empty(t, over, "nothing is live any more")
	})
}
