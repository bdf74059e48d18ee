package main

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/runstore/runstore/clients/go"
)

func (r *runner) listProjects(ctx context.Context, a *arguments) (any, error) {
	var found []string
	for project, err := range r.client.Admin().Projects(ctx) {
		if err != nil {
			return nil, err
		}
		if slices.Contains(a.Among, project) {
			found = append(found, project)
		}
	}
	return fields{"projects": found}, nil
}

func (r *runner) createToken(ctx context.Context, a *arguments) (any, error) {
	var grants []runstore.Grant
	for _, written := range a.Grants {
		grant, err := runstore.ParseGrant(written)
		if err != nil {
			return nil, err
		}
		grants = append(grants, grant)
	}
	return r.client.Admin().CreateToken(ctx, a.Name, grants, runstore.CreateTokenOptions{
		Lifetime: time.Duration(a.LifetimeSeconds) * time.Second, OfServer: a.OfServer,
	})
}

func (r *runner) listTokens(ctx context.Context, a *arguments) (any, error) {
	return begun("tokens", a.Count, r.client.Admin().Tokens(
		ctx, runstore.ListTokensOptions{OfServer: a.OfServer},
	))
}

func (r *runner) revokeToken(ctx context.Context, a *arguments) (any, error) {
	return r.client.Admin().RevokeToken(
		ctx, a.TokenID, runstore.RevokeTokenOptions{OfServer: a.OfServer},
	)
}

func (r *runner) deleteRun(ctx context.Context, a *arguments) (any, error) {
	return r.client.Admin().DeleteRun(ctx, runstore.Deletion{
		RunID: a.RunID, Reason: a.Why, ExpectedLastSeq: a.ExpectedLastSeq,
		RequestID: a.RequestID,
	})
}

func (r *runner) eraseEvents(ctx context.Context, a *arguments) (any, error) {
	var seqs []runstore.SeqRange
	for _, each := range a.Seqs {
		seqs = append(seqs, runstore.SeqRange(each))
	}
	return r.client.Admin().EraseEvents(ctx, runstore.EventErasure{
		RunID: a.RunID, Seqs: seqs, Reason: a.Why, RequestID: a.RequestID,
	})
}

func (r *runner) eraseSubject(ctx context.Context, a *arguments) (any, error) {
	return r.client.Admin().EraseSubject(ctx, runstore.SubjectErasure{
		Subject: a.Subject, Reason: a.Why, RequestID: a.RequestID,
	})
}

func (r *runner) erasure(ctx context.Context, a *arguments) (any, error) {
	return r.client.Admin().Erasure(ctx, a.ErasureID)
}

func (r *runner) listRemovals(ctx context.Context, a *arguments) (any, error) {
	return begun("removals", 0, r.client.Admin().Removals(
		ctx, runstore.ListRemovalsOptions{RunID: a.RunID},
	))
}

func (r *runner) archiveRun(ctx context.Context, a *arguments) (any, error) {
	return r.client.Admin().ArchiveRun(ctx, runstore.Archiving{
		RunID: a.RunID, Reason: a.Why, ExpectedLastSeq: a.ExpectedLastSeq,
		RequestID: a.RequestID,
	})
}

// awaitArchive asks again and again until nothing more happens to the archive.
func (r *runner) awaitArchive(ctx context.Context, a *arguments) (any, error) {
	for {
		found, err := r.archiveRun(ctx, a)
		if err != nil || found.(*runstore.Archive).State >= runstore.ArchiveDone {
			return found, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (r *runner) restoreRun(ctx context.Context, a *arguments) (any, error) {
	return r.client.Admin().RestoreRun(ctx, runstore.Restoration{
		RunID: a.RunID, Reason: a.Why, RequestID: a.RequestID,
	})
}

func (r *runner) setLimits(ctx context.Context, a *arguments) (any, error) {
	return r.client.Admin().SetLimits(ctx, runstore.Limits{
		CallsPerSecond:  a.CallsPerSecond,
		EventsPerSecond: a.EventsPerSecond,
		BytesPerSecond:  a.BytesPerSecond,
		Streams:         a.Streams,
		StoredBytes:     a.StoredBytes,
	}, runstore.SetLimitsOptions{})
}

func (r *runner) placeHold(ctx context.Context, a *arguments) (any, error) {
	hold := runstore.NewHold{Reason: a.Why, RunID: a.RunID}
	if a.Filter != nil {
		filter := a.Filter.value()
		hold.Filter = &filter
	}
	return r.client.Admin().PlaceHold(ctx, hold)
}

func (r *runner) releaseHold(ctx context.Context, a *arguments) (any, error) {
	return r.client.Admin().ReleaseHold(ctx, a.HoldID)
}

func (r *runner) listHolds(ctx context.Context, a *arguments) (any, error) {
	return begun("holds", 0, r.client.Admin().Holds(ctx, runstore.ListHoldsOptions{
		RunID: a.RunID, IncludeReleased: a.WithReleased,
	}))
}

func (r *runner) listRecords(ctx context.Context, a *arguments) (any, error) {
	return begun("records", a.Count, r.client.Admin().Records(
		ctx, runstore.ListRecordsOptions{OfServer: a.OfServer},
	))
}

func (r *runner) verifyRecords(ctx context.Context, a *arguments) (any, error) {
	found, err := r.client.Admin().VerifyRecords(ctx, runstore.VerifyRecordsOptions{
		FromNumber: a.FromNumber, OfServer: a.OfServer,
	})
	if err != nil {
		return nil, err
	}
	return fields{
		"verified":        found.Verified(),
		"checked_records": found.CheckedRecords,
		"last_number":     found.LastNumber,
		"last_hash":       found.LastHash,
		"problem":         found.Problem,
		"problem_number":  found.ProblemNumber,
	}, nil
}

// begun returns a listing's first items, all if count is 0.
func begun[Item any](name string, count int, items iter.Seq2[Item, error]) (any, error) {
	found := []Item{}
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		if found = append(found, item); len(found) == count {
			break
		}
	}
	return fields{name: found}, nil
}
