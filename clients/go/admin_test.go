package runstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// reading is one grant, to read everything.
var reading = []runstore.Grant{{Role: runstore.RoleReader, ProjectPattern: "*"}}

// madeToken is a fresh token of the client's project.
func madeToken(t *testing.T, client *runstore.Client, name string) *runstore.NewToken {
	t.Helper()
	made, err := client.Admin().CreateToken(t.Context(), name, reading, runstore.CreateTokenOptions{})
	require(t, err)
	return made
}

func TestAServerThatAsksNobodyTakesEverybodyForAnybody(t *testing.T) {
	caller, err := dial(t).Admin().WhoAmI(t.Context())

	require(t, err)
	equal(t, "kind", caller.Principal.Kind, runstore.PrincipalAnybody)
	equal(t, "expires", caller.ExpiresAt.IsZero(), true)
	equal(t, "grants", fmt.Sprint(caller.Grants), "[admin@* operator@*]")
}

func TestProjectsAreListedOnceTheyHaveRuns(t *testing.T) {
	client := dial(t)
	before := collect(t, client.Admin().Projects(t.Context()))

	savedRun(t, client)

	after := collect(t, client.Admin().Projects(t.Context()))
	equal(t, "before", slices.Contains(before, client.Project()), false)
	equal(t, "after", slices.Contains(after, client.Project()), true)
	equal(t, "sorted", slices.IsSorted(after), true)
}

func TestATokenIsMadeListedAndRevoked(t *testing.T) {
	client := dial(t)
	admin := client.Admin()
	writing, err := runstore.ParseGrant("writer@acme/*")
	require(t, err)

	first, err := admin.CreateToken(
		t.Context(), "ci", append(reading, writing), runstore.CreateTokenOptions{Lifetime: 2 * time.Hour})
	require(t, err)
	second := madeToken(t, client, "long")
	revoked, err := admin.RevokeToken(t.Context(), first.Token.TokenID, runstore.RevokeTokenOptions{})
	require(t, err)
	_, missing := admin.RevokeToken(t.Context(), "none", runstore.RevokeTokenOptions{})

	token := first.Token
	equal(t, "secret", strings.HasPrefix(first.Secret, token.Prefix+"_"), true)
	equal(t, "token", fmt.Sprint(
		token.Name, token.Grants, token.CreatedBy.Kind, token.RevokedAt.IsZero(), token.LastUsedAt.IsZero(),
	), "ci[reader@* writer@acme/*] ANYBODY true true")
	equal(t, "lifetime", token.ExpiresAt.Sub(token.CreatedAt), 2*time.Hour)
	equal(t, "usual lifetime", second.Token.ExpiresAt.Sub(second.Token.CreatedAt), 90*24*time.Hour)
	equal(t, "revoked", revoked.RevokedAt.IsZero(), false)
	listed := collect(t, admin.Tokens(t.Context(), runstore.ListTokensOptions{}))
	equal(t, "listed", fmt.Sprint(listed), fmt.Sprint([]*runstore.Token{second.Token, revoked}))
	var notFound *runstore.TokenNotFoundError
	if !errors.As(missing, &notFound) {
		t.Fatalf("got %v", missing)
	}
}

func TestATokenOfTheServerIsOfNoProject(t *testing.T) {
	admin := dial(t).Admin()
	operating := []runstore.Grant{{Role: runstore.RoleOperator, ProjectPattern: "*"}}

	made, err := admin.CreateToken(t.Context(), "ops", operating, runstore.CreateTokenOptions{OfServer: true})
	require(t, err)
	_, missing := admin.RevokeToken(t.Context(), made.Token.TokenID, runstore.RevokeTokenOptions{})
	revoked, err := admin.RevokeToken(
		t.Context(), made.Token.TokenID, runstore.RevokeTokenOptions{OfServer: true})
	require(t, err)

	var notFound *runstore.TokenNotFoundError
	if !errors.As(missing, &notFound) {
		t.Fatalf("got %v", missing)
	}
	equal(t, "revoked", revoked.RevokedAt.IsZero(), false)
	equal(t, "of the project", len(collect(t, admin.Tokens(t.Context(), runstore.ListTokensOptions{}))), 0)
	newest := first(t, admin.Tokens(t.Context(), runstore.ListTokensOptions{OfServer: true}))
	equal(t, "of the server", newest.TokenID, made.Token.TokenID)
	record := first(t, admin.Records(t.Context(), runstore.ListRecordsOptions{OfServer: true}))
	equal(t, "record", record.Resource, "tokens/"+made.Token.TokenID)
	found, err := admin.VerifyRecords(t.Context(), runstore.VerifyRecordsOptions{OfServer: true})
	require(t, err)
	equal(t, "verified", found.Verified(), true)
}

func TestASecretIsNotPrinted(t *testing.T) {
	made := madeToken(t, dial(t), "ci")

	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{made, *made} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, made.Secret) {
				t.Errorf("%s prints the secret", verb)
			}
		}
	}
}

func TestATokenWhoseSecretWasLostIsToldAndCanBeRevoked(t *testing.T) {
	isLost := false
	loseFirst := func(
		ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		err := invoke(ctx, method, request, reply, conn, options...)
		if err == nil && !isLost {
			isLost = true
			return status.Error(codes.Unavailable, "lost")
		}
		return err
	}
	client := dial(t, runstore.WithDialOptions(grpc.WithUnaryInterceptor(loseFirst)))
	admin := client.Admin()

	_, err := admin.CreateToken(t.Context(), "ci", reading, runstore.CreateTokenOptions{})

	var lost *runstore.TokenSecretLostError
	if !errors.As(err, &lost) || !strings.Contains(err.Error(), lost.TokenID()) {
		t.Fatalf("got %v", err)
	}
	tokens := collect(t, admin.Tokens(t.Context(), runstore.ListTokensOptions{}))
	equal(t, "tokens", len(tokens), 1)
	equal(t, "token", tokens[0].TokenID, lost.TokenID())
	revoked, err := admin.RevokeToken(t.Context(), lost.TokenID(), runstore.RevokeTokenOptions{})
	require(t, err)
	equal(t, "revoked", revoked.RevokedAt.IsZero(), false)
}

func TestLimitsAreReplaced(t *testing.T) {
	admin := dial(t).Admin()
	none, err := admin.Limits(t.Context())
	require(t, err)
	_, err = admin.SetLimits(t.Context(), runstore.Limits{
		CallsPerSecond: 1001, EventsPerSecond: 2002, BytesPerSecond: 3000003,
	}, runstore.SetLimitsOptions{})
	require(t, err)

	wanted := runstore.Limits{EventsPerSecond: 5000, Streams: 44, StoredBytes: 77}
	set, err := admin.SetLimits(t.Context(), wanted, runstore.SetLimitsOptions{})

	require(t, err)
	now, err := admin.Limits(t.Context())
	require(t, err)
	equal(t, "none", *none, runstore.ProjectLimits{})
	equal(t, "set", set, wanted)
	equal(t, "now", now.Limits, set)
	equal(t, "time", now.UpdatedAt.IsZero(), false)
}

func TestWhatWasDoneIsRecordedAndVerified(t *testing.T) {
	client := dial(t)
	admin := client.Admin()
	token := madeToken(t, client, "ci").Token
	_, missing := admin.RevokeToken(t.Context(), "none", runstore.RevokeTokenOptions{RequestID: "mine"})
	equal(t, "refused", status.Code(missing), codes.NotFound)

	records := collect(t, admin.Records(t.Context(), runstore.ListRecordsOptions{}))
	found, err := admin.VerifyRecords(t.Context(), runstore.VerifyRecordsOptions{})
	require(t, err)
	last, err := admin.VerifyRecords(t.Context(), runstore.VerifyRecordsOptions{FromNumber: 2})
	require(t, err)

	var lines []string
	for _, each := range records {
		lines = append(lines, fmt.Sprint(each.Number, " ", each.Method, " ", each.Resource, " ", each.Status))
	}
	equal(t, "records", strings.Join(lines, "\n"),
		"2 RevokeToken tokens/none TOKEN_NOT_FOUND\n1 CreateToken tokens/"+token.TokenID+" OK")
	equal(t, "allowed", records[0].Allowed, false)
	equal(t, "request", records[0].RequestID, "mine")
	equal(t, "chain", string(records[0].PreviousHash), string(records[1].Hash))
	equal(t, "checked", fmt.Sprint(found.Verified(), found.CheckedRecords, found.LastNumber), "true 2 2")
	equal(t, "hash", string(found.LastHash), string(records[0].Hash))
	equal(t, "checked of the last", last.CheckedRecords, 1)
	equal(t, "a problem", runstore.RecordVerification{Problem: "record 4 is missing"}.Verified(), false)
}

func TestListingsOfTokensGoOverPages(t *testing.T) {
	client := dial(t)
	for number := range 103 { // a page is 100
		madeToken(t, client, fmt.Sprint(number))
	}

	tokens := collect(t, client.Admin().Tokens(t.Context(), runstore.ListTokensOptions{}))
	records := collect(t, client.Admin().Records(t.Context(), runstore.ListRecordsOptions{}))

	equal(t, "tokens", len(tokens), 103)
	equal(t, "newest", tokens[0].Name, "102")
	equal(t, "records", len(records), 103)
	equal(t, "first", records[102].Number, 1)
}

func TestAGrantIsReadAsItIsWritten(t *testing.T) {
	grant, err := runstore.ParseGrant("writer@acme/a@b")

	require(t, err)
	equal(t, "grant", grant, runstore.Grant{Role: runstore.RoleWriter, ProjectPattern: "acme/a@b"})
	equal(t, "written", grant.String(), "writer@acme/a@b")
	for _, wrong := range []string{"", "writer", "writer@", "owner@acme", "WRITER@acme", "@acme"} {
		_, err := runstore.ParseGrant(wrong)
		var invalid *runstore.InvalidArgumentError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), `"`+wrong+`"`) {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
}

func TestWhatIsHeldIsNotDeleted(t *testing.T) {
	client := dial(t)
	run, err := client.SaveRun(t.Context(), runstore.NewRun{RunID: "held", Tags: []string{"x"}})
	require(t, err)
	_, err = run.PutSnapshot(t.Context(), runstore.NewSnapshot{SnapshotID: "s"})
	require(t, err)
	one, err := client.Admin().PlaceHold(t.Context(), runstore.NewHold{Reason: "why", RunID: "held"})
	require(t, err)
	many, err := client.Admin().PlaceHold(t.Context(), runstore.NewHold{
		Reason: "all", Filter: &runstore.RunSelection{
			Statuses: []runstore.RunStatus{runstore.StatusRunning}, Tags: []string{"x"},
		},
	})
	require(t, err)

	_, err = run.DeleteSnapshots(t.Context(), "s")

	var held *runstore.RunHeldError
	if !errors.As(err, &held) {
		t.Fatalf("got %v, want a RunHeldError", err)
	}
	equal(t, "hold", held.HoldID(), one.HoldID)
	equal(t, "status", many.Filter.Statuses[0], runstore.StatusRunning)
	of := runstore.ListHoldsOptions{RunID: "held"}
	equal(t, "holds", len(collect(t, client.Admin().Holds(t.Context(), of))), 2)
	for _, each := range []*runstore.Hold{one, many} {
		released, err := client.Admin().ReleaseHold(t.Context(), each.HoldID)
		require(t, err)
		equal(t, "is released", released.ReleasedAt.IsZero() || released.ReleasedBy == nil, false)
	}
	all := runstore.ListHoldsOptions{IncludeReleased: true}
	equal(t, "holding", len(collect(t, client.Admin().Holds(t.Context(), of))), 0)
	equal(t, "released", len(collect(t, client.Admin().Holds(t.Context(), all))), 2)
	_, err = client.Admin().ReleaseHold(t.Context(), "none")
	var notFound *runstore.HoldNotFoundError
	equal(t, "not found", errors.As(err, &notFound), true)
	_, err = client.Admin().PlaceHold(t.Context(), runstore.NewHold{Reason: "neither"})
	var invalid *runstore.InvalidArgumentError
	equal(t, "neither", errors.As(err, &invalid), true)
}

func TestADeletedRunIsNotFoundAndItsIDReserved(t *testing.T) {
	client := dial(t)
	admin := client.Admin()
	run, err := client.SaveRun(t.Context(), runstore.NewRun{RunID: "run"})
	require(t, err)
	_, err = run.Append(t.Context(), runstore.NewEvent{Type: "tick"})
	require(t, err)
	deletion := runstore.Deletion{RunID: "run", Reason: "case 7", RequestID: "request"}
	_, err = admin.DeleteRun(t.Context(), deletion)
	var open *runstore.RunOpenError
	equal(t, "open", errors.As(err, &open), true)
	fork, err := run.Fork(t.Context(), runstore.ForkOptions{RunID: "fork"})
	require(t, err)
	for _, each := range []*runstore.Run{run, fork} {
		_, err = each.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeSucceeded})
		require(t, err)
	}
	_, err = admin.DeleteRun(t.Context(), deletion)
	var used *runstore.RunInUseError
	if !errors.As(err, &used) {
		t.Fatalf("got %v, want a RunInUseError", err)
	}
	equal(t, "fork", used.ForkRunID(), "fork")
	wrong := int64(1)
	_, err = admin.DeleteRun(t.Context(), runstore.Deletion{
		RunID: "fork", Reason: "case 7", ExpectedLastSeq: &wrong,
	})
	var conflict *runstore.SeqConflictError
	equal(t, "conflict", errors.As(err, &conflict), true)
	of, err := admin.DeleteRun(t.Context(), runstore.Deletion{RunID: "fork", Reason: "case 7"})
	require(t, err)
	equal(t, "first", of.FirstSeq, int64(2))

	removal, err := admin.DeleteRun(t.Context(), deletion)
	require(t, err)
	again, err := admin.DeleteRun(t.Context(), deletion)
	require(t, err)

	equal(t, "again", again.RemovalID, removal.RemovalID)
	equal(t, "kind", removal.Kind, runstore.RemovalOfRun)
	equal(t, "seqs", [2]int64{removal.FirstSeq, removal.LastSeq}, [2]int64{1, 2})
	equal(t, "birth", len(removal.Birth), 32)
	equal(t, "begun", removal.At.IsZero(), false)
	equal(t, "removals", len(collect(t, admin.Removals(t.Context(), runstore.ListRemovalsOptions{}))), 2)
	listed := collect(t, admin.Removals(t.Context(), runstore.ListRemovalsOptions{RunID: "run"}))
	equal(t, "of the run", listed[0].Record, removal.Record)
	_, err = run.Get(t.Context())
	var notFound *runstore.RunNotFoundError
	equal(t, "not found", errors.As(err, &notFound), true)
	_, err = client.SaveRun(t.Context(), runstore.NewRun{RunID: "run"})
	var reserved *runstore.RunIDReservedError
	equal(t, "reserved", errors.As(err, &reserved), true)
}

func TestARemovalIsDoneOnceEverythingIsGone(t *testing.T) {
	client := dial(t)
	run := withTicks(t, client, 3)
	_, err := run.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeSucceeded})
	require(t, err)

	begun, err := client.Admin().DeleteRun(
		t.Context(), runstore.Deletion{RunID: run.ID(), Reason: "case 7"})

	require(t, err)
	equal(t, "begun", begun.State, runstore.RemovalRemoving)
	equal(t, "removed at first", begun.RemovedEvents, 0)
	equal(t, "is done at first", begun.DoneAt.IsZero(), true)
	ctx, last := soon(t, patient), begun
	for last.DoneAt.IsZero() {
		of := runstore.ListRemovalsOptions{RunID: run.ID()}
		last = collect(t, client.Admin().Removals(ctx, of))[0]
	}
	equal(t, "state", last.State, runstore.RemovalDone)
	equal(t, "removed", last.RemovedEvents, 4)
	var missing *runstore.RunNotFoundError
	for _, err := range client.Admin().Removals(ctx, runstore.ListRemovalsOptions{RunID: "never"}) {
		errors.As(err, &missing)
	}
	equal(t, "a run that never was is found", missing == nil, false)
}

func TestWhatEventsSaidIsErasedAndTheRestStays(t *testing.T) {
	client := dial(t)
	admin := client.Admin()
	run, err := client.SaveRun(t.Context(), runstore.NewRun{RunID: "run"})
	require(t, err)
	said := runstore.NewEvent{Type: "said", Actor: "ann", Tags: []string{"t"}, Subjects: []string{"ann"}}
	_, err = run.Append(t.Context(), said, runstore.NewEvent{Type: "said", Subjects: []string{"bo"}})
	require(t, err)
	asked := runstore.EventErasure{
		RunID: "run", Seqs: []runstore.SeqRange{{FirstSeq: 1, LastSeq: 1}}, Reason: "case 7",
		RequestID: "once",
	}

	blocked, err := admin.EraseEvents(t.Context(), asked)
	require(t, err)
	again, err := admin.EraseEvents(t.Context(), asked)
	require(t, err)
	equal(t, "again", again.ErasureID, blocked.ErasureID)
	equal(t, "state", blocked.State, runstore.ErasureBlocked)
	equal(t, "blocker", blocked.Blockers[0], runstore.ErasureBlocker{RunID: "run"})
	_, err = run.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeSucceeded})
	require(t, err)
	erasure := blocked
	for erasure.ErasedEvents == 0 {
		erasure, err = admin.Erasure(t.Context(), blocked.ErasureID)
		require(t, err)
	}

	event := first(t, run.ListEvents(t.Context(), runstore.ListEventsOptions{}))
	equal(t, "what is left", event.Actor == "" && event.Tags == nil && event.Subjects == nil, true)
	equal(t, "salt bytes", len(event.Salt), 0)
	equal(t, "sealed bytes", len(event.Sealed), 32)
	equal(t, "is erased", event.ErasedAt.IsZero(), false)
	found, err := run.Verify(t.Context(), runstore.VerifyOptions{})
	require(t, err)
	equal(t, "verified", found.Verified, true)
	equal(t, "erased events", found.ErasedEvents, int64(1))
	removals := collect(t, admin.Removals(t.Context(), runstore.ListRemovalsOptions{RunID: "run"}))
	equal(t, "kind", removals[0].Kind, runstore.RemovalOfEvents)
	of, err := admin.EraseSubject(t.Context(), runstore.SubjectErasure{Subject: "nobody", Reason: "case 8"})
	require(t, err)
	equal(t, "nobody", of.State, runstore.ErasureDone)
	_, err = admin.Erasure(t.Context(), "none")
	var notFound *runstore.ErasureNotFoundError
	equal(t, "not found", errors.As(err, &notFound), true)
}
