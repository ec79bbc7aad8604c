package evidence

import (
	"context"
	"fmt"

	"genba/policy"
	"genba/server/problem"
)

// streamed is how many bytes of live video came in for a session, those of
// recordings under way included.
func (e *Evidence) streamed(ctx context.Context, session string) (int64, error) {
	var sealed int64
	err := e.DB.Read(ctx).Model(&MediaFile{}).Where("session_id = ? AND kind = ? AND state <> ?", session, KindRecording, Receiving).
		Select("coalesce(sum(size), 0)").Scan(&sealed).Error
	if err != nil {
		return 0, fmt.Errorf("count live video: %w", err)
	}
	for _, r := range e.underWayNow() {
		if r.media.SessionID == session {
			sealed += r.size()
		}
	}
	return sealed, nil
}

func (e *Evidence) underWayNow() []*Recording {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*Recording, 0, len(e.recording))
	for _, r := range e.recording {
		all = append(all, r)
	}
	return all
}

func (r *Recording) size() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return 0
	}
	return r.file.Size()
}

// WithinData asks, before a phone publishes, whether its caller has reached what
// the agency lets one video report cost them (第4の2(2)エ). QUOTA_FULL.
func (e *Evidence) WithinData(ctx context.Context, actor policy.Actor) error {
	if actor.Kind != policy.Caller {
		return nil
	}
	return e.withinData(ctx, actor.Agency, actor.Session, 1)
}

func (e *Evidence) withinData(ctx context.Context, agency, session string, more int64) error {
	a, err := e.Identity.Agency(ctx, agency)
	if err != nil {
		return err
	}
	have, err := e.Received(ctx, session)
	if err != nil {
		return err
	}
	if have+more > int64(a.Settings.DataMegabytes)*megabyte {
		return problem.New(problem.QuotaFull)
	}
	return nil
}

// Live is a phone whose live video is being recorded.
type Live struct{ Session, Phone string }

// OverData lists the phones of callers that send live video though their video
// report has cost what the agency lets it cost.
func (e *Evidence) OverData(ctx context.Context) (over []Live, err error) {
	for _, r := range e.underWayNow() {
		err := e.WithinData(ctx, r.media.uploader())
		if problem.Is(err, problem.QuotaFull) {
			over = append(over, Live{r.media.SessionID, r.media.PhoneID})
		} else if err != nil {
			return over, err
		}
	}
	return over, nil
}
