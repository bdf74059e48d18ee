package runstore_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestHandlesSayWhatTheyAre(t *testing.T) {
	client := dialTo(t, "127.0.0.1:1", runstore.WithProject("acme/search"))

	equal(t, "client", fmt.Sprint(client), `client of 127.0.0.1:1, project "acme/search"`)
	equal(t, "run", fmt.Sprint(client.Run("run-1")), `run "run-1" of project "acme/search"`)
}

func TestAHealthyServerSaysSo(t *testing.T) {
	isServing, err := dial(t).Healthy(t.Context())
	require(t, err)
	equal(t, "is serving", isServing, true)

}

func TestAServiceOfAHealthyServerSaysSo(t *testing.T) {
	isServing, err := dial(t).HealthyService(t.Context(), "runstore.v1.RunService")
	_, unknown := dial(t).HealthyService(t.Context(), "none")

	require(t, err)
	equal(t, "is serving", isServing, true)
	equal(t, "code", status.Code(unknown), codes.NotFound)
}

func TestTheTargetComesFromTheEnvironment(t *testing.T) {
	client := dialTo(t, "")

	_, err := client.Healthy(t.Context())

	require(t, err)
}

func TestProjectsDoNotSeeEachOthersRuns(t *testing.T) {
	run := savedRun(t, dial(t))

	_, err := dial(t).Run(run.ID()).Get(t.Context())

	var missing *runstore.RunNotFoundError
	if !errors.As(err, &missing) {
		t.Fatalf("got %v", err)
	}
}

func TestMetadataGoesWithEveryCall(t *testing.T) {
	s := scripted(t)
	s.saves = []error{nil}
	var sent []string
	watch := func(
		ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		pairs, _ := metadata.FromOutgoingContext(ctx)
		sent = append(pairs["authorization"], pairs["of-the-call"]...)
		return invoke(ctx, method, request, reply, conn, options...)
	}
	client := dialTo(t, s.target,
		runstore.WithMetadata("authorization", "Bearer x"),
		runstore.WithDialOptions(grpc.WithUnaryInterceptor(watch)),
	)

	_, err := client.SaveRun(
		metadata.AppendToOutgoingContext(t.Context(), "of-the-call", "y"), runstore.NewRun{})

	require(t, err)
	equal(t, "pairs", len(sent), 2)
}

func TestWhatCannotBeDialledIsRefused(t *testing.T) {
	for field, options := range map[string][]runstore.Option{
		"metadata": {
			runstore.WithMetadata("alone"), runstore.WithMetadata("a key", "x"),
			runstore.WithMetadata("key", "ü"), runstore.WithMetadata("", "x"),
		},
		"timeout": {runstore.WithTimeout(0), runstore.WithTimeout(-time.Second)},
	} {
		for _, option := range options {
			_, err := runstore.Dial("localhost:1", option)

			var invalid *runstore.InvalidArgumentError
			if !errors.As(err, &invalid) || invalid.Field != field {
				t.Errorf("%s: got %v", field, err)
			}
		}
	}
	if _, err := runstore.Dial("bad\x00target://%zz"); err == nil {
		t.Fatal("a target that is none was taken")
	}
}

func TestAServerInTheClearIsNotTalkedToOverTLS(t *testing.T) {
	client := dialTo(t, sharedTarget, runstore.WithTLS(&tls.Config{}))

	_, err := client.SaveRun(t.Context(), runstore.NewRun{})

	var unavailable *runstore.UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestAClosedClientLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	client, err := runstore.Dial(sharedTarget)
	require(t, err)
	_, err = client.Healthy(t.Context())
	require(t, err)

	require(t, client.Close())
	require(t, client.Close())

	leavesNothing(t, before)
}

func TestEveryCallOfTheContractHasAMethod(t *testing.T) {
	methods := map[string]any{
		"SaveRun": (*runstore.Client).SaveRun, "ListRuns": (*runstore.Client).ListRuns,
		"GetRun": (*runstore.Run).Get, "AppendEvent": (*runstore.Run).Append,
		"AppendMany":   (*runstore.Run).Append,
		"AppendEvents": (*runstore.Run).Append, "AppendEventStream": (*runstore.Client).Appender,
		"ListEvents": (*runstore.Run).ListEvents, "StreamEvents": (*runstore.Run).Events,
		"PutSnapshot": (*runstore.Run).PutSnapshot, "PutTaskWrites": (*runstore.Run).PutTaskWrites,
		"GetSnapshot": (*runstore.Run).GetSnapshot, "ListSnapshots": (*runstore.Run).ListSnapshots,
		"DeleteSnapshots": (*runstore.Run).DeleteSnapshots,
		"ResumeRun":       (*runstore.Run).Resume, "CompleteRun": (*runstore.Run).Complete,
		"GetOutput": (*runstore.Run).GetOutput, "VerifyRun": (*runstore.Run).Verify,
		"ReplayRun": (*runstore.Run).Replay, "ForkRun": (*runstore.Run).Fork,
		"SearchEvents":  (*runstore.Client).SearchEvents,
		"GetStatistics": (*runstore.Client).GetStatistics,

		"ReadFeed": (*runstore.Feed).Read, "FollowFeed": (*runstore.Feed).Follow,
		"CommitPosition": (*runstore.Feed).Commit, "ResetConsumer": (*runstore.Feed).Reset,
		"GetConsumer": (*runstore.Feed).Consumer, "ListConsumers": (*runstore.Feed).Consumers,

		"RegisterVersion": (*runstore.Configs).Register, "GetVersion": (*runstore.Configs).Get,
		"ListVersions": (*runstore.Configs).Versions, "ListConfigs": (*runstore.Configs).List,
		"SetLabel": (*runstore.Configs).SetLabel, "RemoveLabel": (*runstore.Configs).RemoveLabel,
		"ListLabelMoves": (*runstore.Configs).LabelMoves,

		"WhoAmI": (*runstore.Admin).WhoAmI, "ListProjects": (*runstore.Admin).Projects,
		"CreateToken": (*runstore.Admin).CreateToken, "ListTokens": (*runstore.Admin).Tokens,
		"RevokeToken": (*runstore.Admin).RevokeToken,
		"SetLimits":   (*runstore.Admin).SetLimits, "GetLimits": (*runstore.Admin).Limits,
		"PlaceHold":   (*runstore.Admin).PlaceHold,
		"ReleaseHold": (*runstore.Admin).ReleaseHold, "ListHolds": (*runstore.Admin).Holds,
		"EraseEvents":  (*runstore.Admin).EraseEvents,
		"EraseSubject": (*runstore.Admin).EraseSubject, "GetErasure": (*runstore.Admin).Erasure,
		"ArchiveRun": (*runstore.Admin).ArchiveRun, "RestoreRun": (*runstore.Admin).RestoreRun,
		"DeleteRun": (*runstore.Admin).DeleteRun, "ListRemovals": (*runstore.Admin).Removals,
		"PutPolicy": (*runstore.Admin).PutPolicy, "ListPolicies": (*runstore.Admin).Policies,
		"DeletePolicy":       (*runstore.Admin).DeletePolicy,
		"PreviewRetention":   (*runstore.Admin).PreviewRetention,
		"ListAdminRecords":   (*runstore.Admin).Records,
		"VerifyAdminRecords": (*runstore.Admin).VerifyRecords,
		"ExportRun":          (*runstore.Run).Export,

		"UploadArtifact": (*runstore.Artifacts).Upload,
		"LinkArtifact":   (*runstore.Artifacts).Link, "GetArtifact": (*runstore.Artifacts).Get,
		"DownloadArtifact": (*runstore.Artifacts).Download,
		"ListArtifacts":    (*runstore.Artifacts).List,
	}
	for _, file := range []protoreflect.FileDescriptor{
		runstorev1.File_runstore_v1_run_service_proto,
		runstorev1.File_runstore_v1_feed_service_proto,
		runstorev1.File_runstore_v1_config_service_proto,
		runstorev1.File_runstore_v1_artifact_service_proto,
		runstorev1.File_runstore_v1_admin_service_proto,
	} {
		calls := file.Services().Get(0).Methods()
		for place := range calls.Len() {
			name := string(calls.Get(place).Name())
			if methods[name] == nil {
				t.Errorf("the client has no %s", name)
			}
			delete(methods, name)
		}
	}
	if len(methods) > 0 {
		t.Errorf("the contract has none of %v", methods)
	}
}
