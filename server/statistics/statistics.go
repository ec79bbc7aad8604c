// Package statistics owns the counts of what a command centre handled (第9):
// cases and video reports by day, class, kind of media, origin and end, and how
// far the reports came. It counts the rows of cases, which keeps them when
// retention has erased what they say about people; nothing that it reads or
// answers names anybody. Who may read the counts is policy's.
package statistics

import (
	"context"
	"fmt"
	"time"

	"genba/server/cases"
	"genba/server/database"
	"genba/server/problem"
)

// Statistics is the room. It is safe for concurrent use.
type Statistics struct{ db *database.DB }

// New opens the room.
func New(db *database.DB) *Statistics { return &Statistics{db: db} }

// Report holds the counts of a range of days in Japan. Drills are never counted
// (第11). Every day of the range and every value of each enum is there, in a
// fixed order, with 0 where nothing happened.
type Report struct {
	From        string // the first day, YYYY-MM-DD
	To          string // the last day
	Cases       int    // opened in the range
	Sessions    int    // video reports requested in the range
	ByDay       []DayCount
	ByClass     []ClassCount
	ByKind      []KindCount
	ByOrigin    []OriginCount
	ByEndReason []EndReasonCount
	Funnel      []StageCount
}

// DayCount counts what began on one day in Japan.
type DayCount struct {
	Day       string // YYYY-MM-DD
	Cases     int
	Sessions  int
	Connected int // of those sessions, how many ever sent anything
}

// ClassCount counts what was of one class.
type ClassCount struct {
	Class    cases.Class
	Cases    int
	Sessions int
}

// ReportKind is what the national police count media by: live, or stored before
// the call or taken during it, as video or still.
type ReportKind string

// The kinds.
const (
	LiveVideo   ReportKind = "LIVE_VIDEO"
	NowVideo    ReportKind = "NOW_VIDEO"
	BeforeVideo ReportKind = "BEFORE_VIDEO"
	NowStill    ReportKind = "NOW_STILL"
	BeforeStill ReportKind = "BEFORE_STILL"
)

// KindCount counts media files of one kind that arrived whole, and the sessions
// with at least one of them.
type KindCount struct {
	Kind     ReportKind
	Files    int
	Sessions int
}

// OriginCount counts the sessions of callers or of staff.
type OriginCount struct {
	Kind     cases.Kind
	Sessions int
}

// EndReasonCount counts the sessions that were ended for one reason; nil counts
// those that nobody ended.
type EndReasonCount struct {
	Reason   *cases.EndReason
	Sessions int
}

// FunnelStage is a stage of the way from request to picture.
type FunnelStage string

// The stages, in order of the way.
const (
	Requested  FunnelStage = "REQUESTED"
	LinkSent   FunnelStage = "LINK_SENT"
	Opened     FunnelStage = "OPENED"
	Consented  FunnelStage = "CONSENTED"
	Connected  FunnelStage = "CONNECTED"
	FirstFrame FunnelStage = "FIRST_FRAME"
	Ended      FunnelStage = "ENDED"
)

// StageCount counts the sessions that reached one stage.
type StageCount struct {
	Stage    FunnelStage
	Sessions int
}

// maxDays bounds one report: two years and a comparison's margin.
const maxDays = 800

// tokyo has no daylight saving, so each of its days begins at 15:00 UTC.
var tokyo = time.FixedZone("JST", 9*60*60)

var (
	classes = []cases.Class{cases.Welfare, cases.Information, cases.Traffic, cases.OtherClass}
	origins = []cases.Kind{cases.CallerSession, cases.StaffSession}
	reasons = []cases.EndReason{cases.Done, cases.FalseReport, cases.ImproperFilming, cases.Unsafe, cases.Misdirected, cases.OtherReason}
)

// Count counts an agency's cases and sessions from one day to another, both
// included and both in Japan, as YYYY-MM-DD. A case counts on the day it was
// opened, a session with all that came of it on the day it was requested.
// BAD_INPUT for what is no date, a range backwards, or one of over 800 days.
func (s *Statistics) Count(ctx context.Context, agency, from, to string) (*Report, error) {
	begin, end, err := span(from, to)
	if err != nil {
		return nil, err
	}
	var opened []caseRow
	var requested []sessionRow
	err = s.db.Snapshot(ctx, func(ctx context.Context) error {
		if err := s.read(ctx, countCases, "cases.opened_at", agency, begin, end, &opened); err != nil {
			return err
		}
		return s.read(ctx, countSessions, "sessions.requested_at", agency, begin, end, &requested)
	})
	if err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	return assemble(from, to, begin, end, opened, requested), nil
}

// span gives the instants between which the days lie, the end excluded.
func span(from, to string) (begin, end time.Time, err error) {
	if begin, err = time.ParseInLocation(time.DateOnly, from, tokyo); err != nil {
		return begin, end, problem.Wrap(problem.BadInput, err)
	}
	if end, err = time.ParseInLocation(time.DateOnly, to, tokyo); err != nil {
		return begin, end, problem.Wrap(problem.BadInput, err)
	}
	end = end.AddDate(0, 0, 1)
	// SQLite compares times as text: a fifth digit of the year would sort first.
	if !begin.Before(end) || end.After(begin.AddDate(0, 0, maxDays)) || begin.Year() < 1 || end.Year() > 9999 {
		return begin, end, problem.New(problem.BadInput)
	}
	return begin, end, nil
}

type caseRow struct {
	Day   string
	Class cases.Class
	Cases int
}

const countCases = `SELECT %s AS day, class, COUNT(*) AS cases
	FROM cases
	WHERE agency_id = @agency AND NOT drill AND opened_at >= @begin AND opened_at < @end
	GROUP BY 1, 2`

type sessionRow struct {
	Day       string
	Class     cases.Class
	Kind      cases.Kind
	EndReason cases.EndReason

	Sessions, LinkSent, Opened, Consented, Connected, FirstFrame, Ended         int
	Recordings, VideosNow, VideosBefore, PhotosNow, PhotosBefore                int
	WithRecording, WithVideoNow, WithVideoBefore, WithPhotoNow, WithPhotoBefore int
}

const countSessions = `SELECT %s AS day, cases.class, sessions.kind, sessions.end_reason,
		COUNT(*) AS sessions, COUNT(link_sent_at) AS link_sent, COUNT(sessions.opened_at) AS opened, COUNT(consented_at) AS consented,
		COUNT(connected_at) AS connected, COUNT(first_frame_at) AS first_frame, COUNT(ended_at) AS ended,
		CAST(SUM(recordings) AS bigint) AS recordings, COUNT(CASE WHEN recordings > 0 THEN 1 END) AS with_recording,
		CAST(SUM(videos_now) AS bigint) AS videos_now, COUNT(CASE WHEN videos_now > 0 THEN 1 END) AS with_video_now,
		CAST(SUM(videos_before) AS bigint) AS videos_before, COUNT(CASE WHEN videos_before > 0 THEN 1 END) AS with_video_before,
		CAST(SUM(photos_now) AS bigint) AS photos_now, COUNT(CASE WHEN photos_now > 0 THEN 1 END) AS with_photo_now,
		CAST(SUM(photos_before) AS bigint) AS photos_before, COUNT(CASE WHEN photos_before > 0 THEN 1 END) AS with_photo_before
	FROM sessions JOIN cases ON cases.id = sessions.case_id
	WHERE sessions.agency_id = @agency AND NOT cases.drill AND requested_at >= @begin AND requested_at < @end
	GROUP BY 1, 2, 3, 4`

// read runs one of the two counts; the day in Japan is worked out by the
// database, so that it sends a row a day and not a row a case.
func (s *Statistics) read(ctx context.Context, query, column, agency string, begin, end time.Time, rows any) error {
	day := "to_char(" + column + " AT TIME ZONE 'UTC' + INTERVAL '9 hours', 'YYYY-MM-DD')"
	if s.db.Dialect == database.SQLite {
		day = "date(" + column + ", '+9 hours')"
	}
	return s.db.Read(ctx).Raw(fmt.Sprintf(query, day),
		map[string]any{"agency": agency, "begin": database.Instant(begin), "end": database.Instant(end)}).Scan(rows).Error
}

// assemble adds the rows up along every axis.
func assemble(from, to string, begin, end time.Time, opened []caseRow, requested []sessionRow) *Report {
	r := &Report{From: from, To: to}
	day := map[string]*DayCount{}
	for at := begin; at.Before(end); at = at.AddDate(0, 0, 1) {
		r.ByDay = append(r.ByDay, DayCount{Day: at.Format(time.DateOnly)})
	}
	for i := range r.ByDay {
		day[r.ByDay[i].Day] = &r.ByDay[i]
	}
	class := map[cases.Class]*ClassCount{}
	for _, c := range classes {
		class[c] = &ClassCount{Class: c}
	}
	origin := map[cases.Kind]int{}
	reason := map[cases.EndReason]int{}
	var all sessionRow
	for _, row := range opened {
		r.Cases += row.Cases
		day[row.Day].Cases += row.Cases
		class[row.Class].Cases += row.Cases
	}
	for _, row := range requested {
		day[row.Day].Sessions += row.Sessions
		day[row.Day].Connected += row.Connected
		class[row.Class].Sessions += row.Sessions
		origin[row.Kind] += row.Sessions
		reason[row.EndReason] += row.Sessions
		all.add(row)
	}
	r.Sessions = all.Sessions
	for _, c := range classes {
		r.ByClass = append(r.ByClass, *class[c])
	}
	r.ByKind = []KindCount{
		{LiveVideo, all.Recordings, all.WithRecording},
		{NowVideo, all.VideosNow, all.WithVideoNow},
		{BeforeVideo, all.VideosBefore, all.WithVideoBefore},
		{NowStill, all.PhotosNow, all.WithPhotoNow},
		{BeforeStill, all.PhotosBefore, all.WithPhotoBefore},
	}
	for _, k := range origins {
		r.ByOrigin = append(r.ByOrigin, OriginCount{k, origin[k]})
	}
	for _, why := range reasons {
		r.ByEndReason = append(r.ByEndReason, EndReasonCount{&why, reason[why]})
	}
	r.ByEndReason = append(r.ByEndReason, EndReasonCount{nil, reason[""]})
	r.Funnel = []StageCount{
		{Requested, all.Sessions},
		{LinkSent, all.LinkSent},
		{Opened, all.Opened},
		{Consented, all.Consented},
		{Connected, all.Connected},
		{FirstFrame, all.FirstFrame},
		{Ended, all.Ended},
	}
	return r
}

func (r *sessionRow) add(o sessionRow) {
	r.Sessions += o.Sessions
	r.LinkSent += o.LinkSent
	r.Opened += o.Opened
	r.Consented += o.Consented
	r.Connected += o.Connected
	r.FirstFrame += o.FirstFrame
	r.Ended += o.Ended
	r.Recordings += o.Recordings
	r.WithRecording += o.WithRecording
	r.VideosNow += o.VideosNow
	r.WithVideoNow += o.WithVideoNow
	r.VideosBefore += o.VideosBefore
	r.WithVideoBefore += o.WithVideoBefore
	r.PhotosNow += o.PhotosNow
	r.WithPhotoNow += o.WithPhotoNow
	r.PhotosBefore += o.PhotosBefore
	r.WithPhotoBefore += o.WithPhotoBefore
}
