package graph

import (
	"context"

	"genba/graph/model"
	"genba/server/journal"
	"genba/server/problem"
)

// auditFilter reads what narrows the record.
func auditFilter(filter *journal.Filter) (journal.Filter, error) {
	f := or(filter, journal.Filter{})
	if len(f.Types) > len(journal.Types) {
		return f, problem.New(problem.BadInput)
	}
	for _, given := range []string{f.Follow, f.CaseID, f.SessionID, f.ActorID, f.SubjectID} {
		if _, err := optionalID(&given); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (r *Resolver) exportJournal(ctx context.Context, input model.ExportJournalInput) (*model.ExportJournalPayload, error) {
	f, err := auditFilter(input.Filter)
	if err != nil {
		return nil, err
	}
	e, url, err := r.Journal.BeginExport(ctx, actorOf(ctx), f, input.Format)
	if err != nil {
		return nil, err
	}
	return &model.ExportJournalPayload{URL: url, ExpiresAt: e.ExpiresAt}, nil
}
