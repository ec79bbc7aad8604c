package graph

import (
	"context"
	"net/url"
	"reflect"
	"time"

	"genba/graph/model"
	"genba/server/cases"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// sharedFiles is how many files of a shared video report are listed.
const sharedFiles = 50

// shared is what a share shows: its video report, and nothing else of the agency
// that gave it.
func (r *Resolver) shared(ctx context.Context, share *cases.Share) (*model.SharedReport, error) {
	share, s, err := r.Cases.Received(ctx, actorOf(ctx), share.ID)
	if err != nil {
		return nil, err
	}
	agency, err := r.People.Agency(ctx, share.AgencyID)
	if err != nil {
		return nil, err
	}
	found, err := r.Cases.Cases(ctx, share.AgencyID, []string{share.CaseID})
	if err != nil {
		return nil, err
	}
	k := found[share.CaseID]
	if k == nil {
		return nil, problem.New(problem.ShareOver)
	}
	report := &model.SharedReport{
		ID: share.ID, Agency: agency, Purpose: share.Purpose, Ground: share.Ground, GivenAt: share.GivenAt, ExpiresAt: share.ExpiresAt,
		Class: k.Class, Municipality: k.Municipality, Drill: k.Drill, State: s.State, Over: s.State.Over(), RequestedAt: s.RequestedAt, Live: s.Live,
		Files: []*model.SharedFile{},
	}
	positions, err := r.Cases.LastPositions(ctx, share.AgencyID, []string{s.ID})
	if err != nil {
		return nil, err
	}
	if p := positions[s.ID]; p != nil {
		report.Position = &model.SharedPosition{Latitude: p.Latitude, Longitude: p.Longitude, Accuracy: p.Accuracy, CapturedAt: p.CapturedAt}
	}
	files, err := r.Evidence.SharedFiles(ctx, share, sharedFiles)
	if err != nil {
		return nil, err
	}
	for _, m := range files {
		report.Files = append(report.Files, &model.SharedFile{
			ID: m.ID, Kind: m.Kind, Capture: m.Capture, State: m.State, Preview: m.Preview, DurationMs: m.DurationMs, AcquiredAt: m.AcquiredAt, DueAt: m.DueAt,
		})
	}
	return report, nil
}

// sharesReceived is what other agencies show the actor's now.
func (r *Resolver) sharesReceived(ctx context.Context) ([]*model.SharedReport, error) {
	shares, err := r.Cases.SharesReceived(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	reports := []*model.SharedReport{}
	for _, share := range shares {
		report, err := r.shared(ctx, share)
		if problem.Is(err, problem.ShareOver) {
			continue // it has just ended
		}
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

func (r *Resolver) sharedReport(ctx context.Context, given string) (*model.SharedReport, error) {
	shareID, err := id(given)
	if err != nil {
		return nil, err
	}
	report, err := r.shared(ctx, &cases.Share{ID: shareID})
	if problem.Is(err, problem.NotFound) {
		return nil, nil
	}
	return report, err
}

// sharesAgain is how often what shares show is looked at anew where no bell of the
// own agency rings: the givers' do not ring here.
const sharesAgain = time.Second

// sharesReceivedChanged shows what other agencies show, at once and whenever it
// changed.
func (r *Resolver) sharesReceivedChanged(ctx context.Context, may func(context.Context) error) (<-chan []*model.SharedReport, error) {
	bell, err := r.Bus.Listen(journal.Topic(actorOf(ctx).Agency))
	if err != nil {
		return nil, err
	}
	out := make(chan []*model.SharedReport)
	go func() {
		defer close(out)
		defer bell.Close()
		again := time.NewTicker(sharesAgain)
		defer again.Stop()
		var last []*model.SharedReport
		for {
			err := may(ctx)
			var now []*model.SharedReport
			if err == nil {
				now, err = r.sharesReceived(ctx)
			}
			if err != nil {
				r.fail(ctx, err)
				return
			}
			if last == nil || !reflect.DeepEqual(last, now) {
				select {
				case out <- now:
				case <-ctx.Done():
					return
				}
				last = now
			}
			select {
			case <-bell.C:
			case <-again.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func (r *Resolver) shareSession(ctx context.Context, input model.ShareSessionInput) (*model.SharePayload, error) {
	sessionID, err := id(input.SessionID)
	if err != nil {
		return nil, err
	}
	agencyID, err := id(input.AgencyID)
	if err != nil {
		return nil, err
	}
	share, err := r.Cases.Share(ctx, actorOf(ctx), cases.NewShare{
		SessionID: sessionID, AgencyID: agencyID, Purpose: input.Purpose, Ground: input.Ground, Life: time.Duration(input.Minutes) * time.Minute,
	})
	if err != nil {
		return nil, err
	}
	return &model.SharePayload{Share: share}, nil
}

func (r *Resolver) shareWithOfficers(ctx context.Context, input model.ShareWithOfficersInput) (*model.SharesPayload, error) {
	sessionID, err := id(input.SessionID)
	if err != nil {
		return nil, err
	}
	members := make([]string, len(input.MemberIDs))
	for i, given := range input.MemberIDs {
		if members[i], err = id(given); err != nil {
			return nil, err
		}
	}
	shares, err := r.Cases.ShareWithOfficers(ctx, actorOf(ctx), cases.OfficerShares{
		SessionID: sessionID, MemberIDs: members, Life: time.Duration(input.Minutes) * time.Minute,
	})
	if err != nil {
		return nil, err
	}
	expectShares(ctx, shares...)
	return &model.SharesPayload{Shares: shares}, nil
}

func (r *Resolver) watchShare(ctx context.Context, given string) (*model.WatchSharePayload, error) {
	shareID, err := id(given)
	if err != nil {
		return nil, err
	}
	actor := actorOf(ctx)
	v, err := r.Evidence.ViewShared(ctx, actor, shareID, identity.GrantLife)
	if err != nil {
		return nil, err
	}
	p := &model.WatchSharePayload{URL: "/whep/" + v.SessionID}
	p.Token, p.ExpiresAt = r.Bearers.Mint(identity.Bearer{Use: identity.UseWatch, Session: v.SessionID, Object: v.ID, Actor: actor}, identity.BearerLife)
	return p, nil
}

func (r *Resolver) openSharedMedia(ctx context.Context, input model.OpenSharedMediaInput) (*model.OpenSharedMediaPayload, error) {
	shareID, err := id(input.ShareID)
	if err != nil {
		return nil, err
	}
	fileID, err := id(input.MediaFileID)
	if err != nil {
		return nil, err
	}
	o, err := r.Evidence.OpenShared(ctx, actorOf(ctx), shareID, fileID)
	if err != nil {
		return nil, err
	}
	return &model.OpenSharedMediaPayload{
		URL: evidence.MediaPath + o.File.ID + "?grant=" + url.QueryEscape(o.Grant), ExpiresAt: o.ExpiresAt, ContentType: o.ContentType,
	}, nil
}
