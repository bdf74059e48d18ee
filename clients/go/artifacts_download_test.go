package runstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/runstore/runstore/clients/go"
	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
)

// download begins a download that is closed with the test.
func download(
	t *testing.T, client *runstore.Client, which runstore.ArtifactRef, options runstore.DownloadOptions,
) *runstore.Download {
	t.Helper()
	begun, err := client.Artifacts().Download(t.Context(), which, options)
	require(t, err)
	t.Cleanup(func() { require(t, begun.Close()) })
	return begun
}

func TestADownloadIsAReader(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	data := noise(3*mib + 5)
	artifact := uploaded(t, run, client, "a", data)

	begun := download(t, client, runstore.ArtifactRef{RunID: run.ID(), Name: "a"}, runstore.DownloadOptions{})

	equal(t, "artifact", begun.Artifact.ArtifactID, artifact.ArtifactID)
	equal(t, "size", *begun.Artifact.Size, int64(len(data)))
	require(t, iotest.TestReader(begun, data))
}

func TestADownloadWritesItself(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	data := noise(3*mib + 5)
	artifact := uploaded(t, run, client, "a", data)
	begun := download(t, client, runstore.ArtifactRef{ArtifactID: artifact.ArtifactID}, runstore.DownloadOptions{})
	head := make([]byte, 7)
	_, err := io.ReadFull(begun, head)
	require(t, err)
	var tail bytes.Buffer

	// A writer that is full keeps nothing from the next one.
	written, full := begun.WriteTo(&fullAfter{&tail, 10})
	rest, err := io.Copy(&tail, begun)

	require(t, err)
	equal(t, "full", errors.Is(full, errFull), true)
	equal(t, "written", written, 10)
	equal(t, "rest", rest, int64(len(data)-17))
	equal(t, "bytes", bytes.Equal(append(head, tail.Bytes()...), data), true)
}

var errFull = errors.New("full")

// fullAfter takes so many bytes and no more.
type fullAfter struct {
	to   io.Writer
	left int
}

func (f *fullAfter) Write(data []byte) (int, error) {
	if len(data) <= f.left {
		f.left -= len(data)
		return f.to.Write(data)
	}
	count, _ := f.to.Write(data[:f.left])
	f.left = 0
	return count, errFull
}

func TestARangeOfAnArtifactIsDownloaded(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	data := noise(2*mib + 5)
	which := runstore.ArtifactRef{ArtifactID: uploaded(t, run, client, "a", data).ArtifactID}
	empty := runstore.ArtifactRef{ArtifactID: uploaded(t, run, client, "b", nil).ArtifactID}
	size := int64(len(data))
	for name, each := range map[string]struct {
		which   runstore.ArtifactRef
		options runstore.DownloadOptions
		want    []byte
	}{
		"all":      {which, runstore.DownloadOptions{}, data},
		"by size":  {which, runstore.DownloadOptions{Length: size}, data},
		"from":     {which, runstore.DownloadOptions{Offset: 9}, data[9:]},
		"to":       {which, runstore.DownloadOptions{Length: 9}, data[:9]},
		"one byte": {which, runstore.DownloadOptions{Offset: mib, Length: 1}, data[mib : mib+1]},
		"the last": {which, runstore.DownloadOptions{Offset: size - 1}, data[size-1:]},
		"no bytes": {empty, runstore.DownloadOptions{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := io.ReadAll(download(t, client, each.which, each.options))

			require(t, err)
			equal(t, "bytes", bytes.Equal(got, each.want), true)
		})
	}
	_, err := client.Artifacts().Download(t.Context(), which, runstore.DownloadOptions{Offset: 1, Length: size})
	var beyond *runstore.RangeBeyondEndError
	if !errors.As(err, &beyond) {
		t.Fatalf("got %v", err)
	}
}

func TestAVersionOfANameIsDownloaded(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	for _, text := range []string{"one", "two"} {
		uploaded(t, run, client, "a", []byte(text))
	}
	for version, want := range []string{"two", "one", "two"} {
		which := runstore.ArtifactRef{RunID: run.ID(), Name: "a", Version: int64(version)}

		got, err := io.ReadAll(download(t, client, which, runstore.DownloadOptions{}))

		require(t, err)
		equal(t, "text", string(got), want)
	}
}

func TestADownloadOfNothingFailsAtOnce(t *testing.T) {
	client := dial(t)
	for name, each := range map[string]struct {
		which  runstore.ArtifactRef
		target any
	}{
		"no such id": {runstore.ArtifactRef{ArtifactID: "x"}, new(*runstore.ArtifactNotFoundError)},
		"no such name": {
			runstore.ArtifactRef{RunID: savedRun(t, client).ID(), Name: "x"}, new(*runstore.ArtifactNotFoundError),
		},
		"nothing named": {runstore.ArtifactRef{}, new(*runstore.InvalidRequestError)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.Artifacts().Download(t.Context(), each.which, runstore.DownloadOptions{})

			if !errors.As(err, each.target) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestACutDownloadGoesOnBehindTheLastByte(t *testing.T) {
	straight := dial(t)
	run := savedRun(t, straight)
	data := noise(20 * mib)
	uploaded(t, run, straight, "a", data)
	for name, each := range map[string]struct {
		options runstore.DownloadOptions
		want    []byte
	}{
		"whole": {runstore.DownloadOptions{}, data},
		"range": {runstore.DownloadOptions{Offset: mib, Length: 18 * mib}, data[mib : 19*mib]},
	} {
		t.Run(name, func(t *testing.T) {
			way := cutting(t, downwards, 5*mib, 100, 7*mib)
			client := dialTo(t, way.target, runstore.WithProject(straight.Project()))

			got, err := io.ReadAll(download(
				t, client, runstore.ArtifactRef{RunID: run.ID(), Name: "a"}, each.options,
			))

			require(t, err)
			equal(t, "bytes", bytes.Equal(got, each.want), true)
			equal(t, "connections", way.connections.Load(), 4)
			// What was on its way in a message that was cut comes again: at most 1 MiB a cut.
			if came := way.down.Load() - int64(len(each.want)); came > 4*mib {
				t.Fatalf("%d bytes came twice", came)
			}
		})
	}
}

func TestACutDownloadGoesOnWithTheSameVersion(t *testing.T) {
	straight := dial(t)
	run := savedRun(t, straight)
	data := noise(20 * mib)
	uploaded(t, run, straight, "a", data)
	way := cutting(t, downwards, 8*mib)
	client := dialTo(t, way.target, runstore.WithProject(straight.Project()))
	begun := download(t, client, runstore.ArtifactRef{RunID: run.ID(), Name: "a"}, runstore.DownloadOptions{})
	uploaded(t, run, straight, "a", noise(21*mib))

	got, err := io.ReadAll(begun)

	require(t, err)
	equal(t, "version", begun.Artifact.Version, 1)
	equal(t, "connections", way.connections.Load(), 2)
	equal(t, "bytes", bytes.Equal(got, data), true)
}

func TestADownloadSurvivesRestarts(t *testing.T) {
	s := ownServer(t)
	client := dialTo(t, s.target)
	run := savedRun(t, client)
	data := noise(40 * mib)
	artifact := uploaded(t, run, client, "a", data)
	begun := download(t, client, runstore.ArtifactRef{ArtifactID: artifact.ArtifactID}, runstore.DownloadOptions{})

	digest, buffer, read := sha256.New(), make([]byte, mib), 0
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		for until := read + 10*mib; read < until; {
			count, err := begun.Read(buffer)
			require(t, err)
			digest.Write(buffer[:count])
			read += count
		}
		s.stopBy(signal)
		require(t, s.start())
		require(t, s.waitUntilServing()) // longer than a download is tried, on a busy machine
	}
	_, err := io.Copy(digest, begun)

	require(t, err)
	equal(t, "digest", [32]byte(digest.Sum(nil)), sha256.Sum256(data))
}

func TestADownloadEndsWithItsContext(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	artifact := uploaded(t, run, client, "a", noise(20*mib))
	ctx, cancel := context.WithCancel(t.Context())
	before := goleak.IgnoreCurrent()
	begun, err := client.Artifacts().Download(
		ctx, runstore.ArtifactRef{ArtifactID: artifact.ArtifactID}, runstore.DownloadOptions{},
	)
	require(t, err)

	cancel()
	_, err = io.Copy(io.Discard, begun)
	_, again := begun.Read(make([]byte, 1))

	if !errors.Is(err, context.Canceled) || again != err {
		t.Fatalf("got %v, then %v", err, again)
	}
	leavesNothing(t, before)
}

func TestAClosedDownloadLeavesNothingBehind(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	artifact := uploaded(t, run, client, "a", noise(20*mib))
	before := goleak.IgnoreCurrent()
	begun, err := client.Artifacts().Download(
		t.Context(), runstore.ArtifactRef{ArtifactID: artifact.ArtifactID}, runstore.DownloadOptions{},
	)
	require(t, err)
	_, err = begun.Read(make([]byte, 1))
	require(t, err)

	require(t, begun.Close())
	require(t, begun.Close())

	_, err = begun.Read(make([]byte, 1))
	equal(t, "closed", errors.Is(err, runstore.ErrClosed), true)
	leavesNothing(t, before)
}

// wrong is a server whose downloads are what a real one's never are.
type wrong struct {
	runstorev1.UnimplementedArtifactServiceServer
	messages []*runstorev1.DownloadArtifactResponse
}

func (w *wrong) DownloadArtifact(
	_ *runstorev1.DownloadArtifactRequest,
	stream grpc.ServerStreamingServer[runstorev1.DownloadArtifactResponse],
) error {
	for _, message := range w.messages {
		if err := stream.Send(message); err != nil {
			return err
		}
	}
	return nil
}

func TestBytesThatAreNotTheArtifactsAreNotItsEnd(t *testing.T) {
	digest := sha256.Sum256([]byte("right"))
	artifact := &runstorev1.DownloadArtifactResponse{Message: &runstorev1.DownloadArtifactResponse_Artifact{
		Artifact: &runstorev1.Artifact{ArtifactId: "a", Size: new(int64(5)), Sha256: digest[:]},
	}}
	chunk := func(text string) *runstorev1.DownloadArtifactResponse {
		return &runstorev1.DownloadArtifactResponse{
			Message: &runstorev1.DownloadArtifactResponse_Chunk{Chunk: []byte(text)},
		}
	}
	for name, each := range map[string]struct {
		messages []*runstorev1.DownloadArtifactResponse
		options  runstore.DownloadOptions
		isRight  bool
	}{
		"right":             {[]*runstorev1.DownloadArtifactResponse{artifact, chunk("rig"), chunk("ht")}, runstore.DownloadOptions{}, true},
		"wrong":             {[]*runstorev1.DownloadArtifactResponse{artifact, chunk("wrong")}, runstore.DownloadOptions{}, false},
		"short":             {[]*runstorev1.DownloadArtifactResponse{artifact, chunk("righ")}, runstore.DownloadOptions{}, false},
		"long":              {[]*runstorev1.DownloadArtifactResponse{artifact, chunk("rights")}, runstore.DownloadOptions{}, false},
		"long at its end":   {[]*runstorev1.DownloadArtifactResponse{artifact, chunk("right"), chunk("s")}, runstore.DownloadOptions{}, true},
		"a range":           {[]*runstorev1.DownloadArtifactResponse{artifact, chunk("rong")}, runstore.DownloadOptions{Offset: 1}, true},
		"a range too short": {[]*runstorev1.DownloadArtifactResponse{artifact, chunk("ron")}, runstore.DownloadOptions{Offset: 1}, false},
		"no artifact":       {[]*runstorev1.DownloadArtifactResponse{chunk("right")}, runstore.DownloadOptions{}, false},
		"nothing":           {nil, runstore.DownloadOptions{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := grpc.NewServer()
			runstorev1.RegisterArtifactServiceServer(server, &wrong{messages: each.messages})
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require(t, err)
			go func() { _ = server.Serve(listener) }()
			t.Cleanup(server.Stop)

			begun, err := dialTo(t, listener.Addr().String()).Artifacts().Download(
				t.Context(), runstore.ArtifactRef{ArtifactID: "a"}, each.options,
			)
			if err == nil {
				_, err = io.Copy(io.Discard, begun)
			}

			var broken *runstore.ProtocolError
			if each.isRight && err != nil || !each.isRight && !errors.As(err, &broken) {
				t.Fatalf("got %v", err)
			}
		})
	}
}
