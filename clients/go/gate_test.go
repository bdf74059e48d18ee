package runstore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

const content = "both halves"

// gate is a server that lets in whom it knows by a token. Everybody may ask for its health.
//
// Streams end after their first item, as ending says, for the tokens in ended; others go on to the second.
type gate struct {
	runstorev1.UnimplementedRunServiceServer
	runstorev1.UnimplementedFeedServiceServer
	runstorev1.UnimplementedArtifactServiceServer
	grpc_health_v1.UnimplementedHealthServer
	target string

	mutex     sync.Mutex
	known     map[string]bool
	ended     map[string]bool
	refusedAs error
	ending    error
	// refusing is called before a call is refused or a stream is ended.
	refusing func()
	shown    []string
}

var (
	unknownToken = told(codes.Unauthenticated, "UNAUTHENTICATED", nil).Err()
	expiredToken = told(codes.Unauthenticated, "CREDENTIAL_EXPIRED", nil).Err()
	withdrawn    = told(codes.PermissionDenied, "PERMISSION_DENIED", nil).Err()
)

func gated(t *testing.T, known ...string) *gate {
	t.Helper()
	g := &gate{
		known: map[string]bool{}, ended: map[string]bool{},
		refusedAs: unknownToken, ending: expiredToken, refusing: func() {},
	}
	for _, token := range known {
		g.known[token] = true
	}
	server := grpc.NewServer()
	runstorev1.RegisterRunServiceServer(server, g)
	runstorev1.RegisterFeedServiceServer(server, g)
	runstorev1.RegisterArtifactServiceServer(server, g)
	grpc_health_v1.RegisterHealthServer(server, g)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require(t, err)
	g.target = listener.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return g
}

// tokens are what the calls so far have shown, one after the other.
func (g *gate) tokens() string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return strings.Join(g.shown, " ")
}

func (g *gate) note(ctx context.Context) string {
	given, _ := metadata.FromIncomingContext(ctx)
	shown := strings.TrimPrefix(strings.Join(given.Get("authorization"), "+"), "Bearer ")
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.shown = append(g.shown, shown)
	return shown
}

// letIn returns the token, or the refusal of one that is not known.
func (g *gate) letIn(ctx context.Context) (string, error) {
	token := g.note(ctx)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.known[token] {
		return token, nil
	}
	g.refusing()
	return token, g.refusedAs
}

// mayGoOn fails for the stream of a token that has ended.
func (g *gate) mayGoOn(token string) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if !g.ended[token] {
		return nil
	}
	g.refusing()
	return g.ending
}

func (g *gate) Check(
	ctx context.Context, _ *grpc_health_v1.HealthCheckRequest,
) (*grpc_health_v1.HealthCheckResponse, error) {
	g.note(ctx)
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

func (g *gate) AppendEvent(
	ctx context.Context, request *runstorev1.AppendEventRequest,
) (*runstorev1.AppendEventResponse, error) {
	if _, err := g.letIn(ctx); err != nil {
		return nil, err
	}
	return &runstorev1.AppendEventResponse{Seq: 1, EventId: request.Event.EventId}, nil
}

func (g *gate) StreamEvents(
	request *runstorev1.StreamEventsRequest,
	stream grpc.ServerStreamingServer[runstorev1.StreamEventsResponse],
) error {
	token, err := g.letIn(stream.Context())
	for seq := request.FromSeq; err == nil && seq < 3; seq++ {
		if err = stream.Send(batchOf(seq)); err == nil {
			err = g.mayGoOn(token)
		}
	}
	if err != nil {
		return err
	}
	return stream.Send(&runstorev1.StreamEventsResponse{
		Message: &runstorev1.StreamEventsResponse_EndOfRun{EndOfRun: &runstorev1.EndOfRun{LastSeq: 2, Outcome: 1}},
	})
}

func batchOf(seq int64) *runstorev1.StreamEventsResponse {
	events := []*runstorev1.Event{{Seq: seq, Type: "tick"}}
	return &runstorev1.StreamEventsResponse{
		Message: &runstorev1.StreamEventsResponse_Events{Events: &runstorev1.EventBatch{Events: events}},
	}
}

func (g *gate) AppendEventStream(
	stream grpc.BidiStreamingServer[
		runstorev1.AppendEventStreamRequest, runstorev1.AppendEventStreamResponse,
	],
) error {
	token, err := g.letIn(stream.Context())
	for err == nil {
		var request *runstorev1.AppendEventStreamRequest
		if request, err = stream.Recv(); err != nil {
			break
		}
		err = stream.Send(&runstorev1.AppendEventStreamResponse{
			CorrelationId: request.CorrelationId,
			Result: &runstorev1.AppendEventStreamResponse_Appended{
				Appended: &runstorev1.AppendEventResponse{Seq: 1, EventId: request.Append.Event.EventId},
			},
		})
		if err == nil {
			err = g.mayGoOn(token)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (g *gate) FollowFeed(
	request *runstorev1.FollowFeedRequest,
	stream grpc.ServerStreamingServer[runstorev1.FollowFeedResponse],
) error {
	token, err := g.letIn(stream.Context())
	for position := max(request.FromPosition, 1); err == nil && position < 3; position++ {
		entry := &runstorev1.FeedEntry{Position: position, RunId: "run", Event: &runstorev1.Event{Type: "tick"}}
		entries := &runstorev1.FeedBatch{Entries: []*runstorev1.FeedEntry{entry}}
		err = stream.Send(&runstorev1.FollowFeedResponse{
			Message: &runstorev1.FollowFeedResponse_Entries{Entries: entries},
		})
		if err == nil {
			err = g.mayGoOn(token)
		}
	}
	return err
}

func (g *gate) UploadArtifact(
	stream grpc.ClientStreamingServer[runstorev1.UploadArtifactRequest, runstorev1.UploadArtifactResponse],
) error {
	token, err := g.letIn(stream.Context())
	if err == nil {
		err = g.mayGoOn(token)
	}
	var received []byte
	for err == nil {
		var request *runstorev1.UploadArtifactRequest
		if request, err = stream.Recv(); err == nil {
			received = append(received, request.GetChunk()...)
		}
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return stream.SendAndClose(&runstorev1.UploadArtifactResponse{Artifact: artifactOf(received)})
}

func (g *gate) DownloadArtifact(
	request *runstorev1.DownloadArtifactRequest,
	stream grpc.ServerStreamingServer[runstorev1.DownloadArtifactResponse],
) error {
	token, err := g.letIn(stream.Context())
	if err != nil {
		return err
	}
	err = stream.Send(&runstorev1.DownloadArtifactResponse{
		Message: &runstorev1.DownloadArtifactResponse_Artifact{Artifact: artifactOf([]byte(content))},
	})
	half := request.Offset
	if err == nil && half == 0 {
		half = int64(len(content) / 2)
		if err = stream.Send(chunkOf(content[:half])); err == nil {
			err = g.mayGoOn(token)
		}
	}
	if err != nil {
		return err
	}
	return stream.Send(chunkOf(content[half:]))
}

func chunkOf(chunk string) *runstorev1.DownloadArtifactResponse {
	return &runstorev1.DownloadArtifactResponse{
		Message: &runstorev1.DownloadArtifactResponse_Chunk{Chunk: []byte(chunk)},
	}
}

func artifactOf(content []byte) *runstorev1.Artifact {
	size, digest := int64(len(content)), sha256.Sum256(content)
	return &runstorev1.Artifact{ArtifactId: "a", Size: &size, Sha256: digest[:]}
}
