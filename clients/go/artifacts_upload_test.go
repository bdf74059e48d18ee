package runstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/runstore/runstore/clients/go"
)

const mib = 1 << 20

// once hides every method of a reader but Read.
type once struct{ io.Reader }

// has tells whether a run has an artifact of the name.
func has(t *testing.T, client *runstore.Client, run *runstore.Run, name string) bool {
	t.Helper()
	_, err := client.Artifacts().Get(
		context.WithoutCancel(t.Context()), runstore.ArtifactRef{RunID: run.ID(), Name: name},
	)
	var missing *runstore.ArtifactNotFoundError
	if err != nil && !errors.As(err, &missing) {
		t.Fatal(err)
	}
	return err == nil
}

func TestWhateverCanBeReadIsUploaded(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	data := noise(3*mib + 1)
	path := filepath.Join(t.TempDir(), "file")
	require(t, os.WriteFile(path, data, 0o600))
	file, err := os.Open(path)
	require(t, err)
	defer file.Close()
	reading, writing, err := os.Pipe()
	require(t, err)
	defer reading.Close()
	go func() {
		_, _ = writing.Write(data)
		_ = writing.Close()
	}()
	for name, reader := range map[string]io.Reader{
		"bytes": bytes.NewReader(data), "file": file, "pipe": reading, "once": once{bytes.NewReader(data)},
		"slow":           iotest.HalfReader(bytes.NewReader(data)),
		"end with bytes": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		t.Run(name, func(t *testing.T) {
			put, err := client.Artifacts().Upload(t.Context(), run.ID(), name, reader, runstore.ArtifactOptions{})

			require(t, err)
			equal(t, "size", *put.Artifact.Size, int64(len(data)))
			equal(t, "digest", [32]byte(put.Artifact.SHA256), sha256.Sum256(data))
		})
	}
}

func TestAnUploadIsOfWhatIsLeftOfTheData(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	reader := bytes.NewReader([]byte("head and tail"))
	_, err := reader.Seek(5, io.SeekStart)
	require(t, err)

	put, err := client.Artifacts().Upload(t.Context(), run.ID(), "a", reader, runstore.ArtifactOptions{})
	require(t, err)
	empty, err := client.Artifacts().Upload(t.Context(), run.ID(), "b", reader, runstore.ArtifactOptions{})
	require(t, err)

	equal(t, "digest", [32]byte(put.Artifact.SHA256), sha256.Sum256([]byte("and tail")))
	equal(t, "empty", *empty.Artifact.Size, 0)
}

func TestUploadingTheSameAgainEndsEarly(t *testing.T) {
	way := cutting(t, upwards)
	client := dialTo(t, way.target)
	run := savedRun(t, client)
	data := noise(64 * mib)
	artifact := uploaded(t, run, client, "a", data)
	before := way.up.Load()

	put, err := client.Artifacts().Upload(
		t.Context(), run.ID(), "a", bytes.NewReader(data), runstore.ArtifactOptions{},
	)

	require(t, err)
	equal(t, "deduplicated", put.Deduplicated, true)
	equal(t, "artifact", put.Artifact.ArtifactID, artifact.ArtifactID)
	// The server reads nothing behind the header: what is sent until its answer comes is bounded by
	// flow control and by what the connections hold, not by time.
	if sent := way.up.Load() - before; sent > 32*mib {
		t.Fatalf("%d bytes were sent for nothing", sent)
	}
}

func TestBytesThatAreNotWhatWasSaidAreRefused(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	digest := sha256.Sum256([]byte("other"))
	for name, options := range map[string]runstore.ArtifactOptions{
		"digest": {SHA256: digest[:]}, "size": {Size: new(int64(3))},
	} {
		for kind, reader := range map[string]io.Reader{
			"again": bytes.NewReader([]byte("bytes")), "once": once{bytes.NewReader([]byte("bytes"))},
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				_, err := client.Artifacts().Upload(t.Context(), run.ID(), name, reader, options)

				var mismatch *runstore.ContentMismatchError
				if !errors.As(err, &mismatch) {
					t.Fatalf("got %v", err)
				}
				equal(t, "recorded", has(t, client, run, name), false)
			})
		}
	}
}

func TestAnUploadToARunThatDoesNotExistFails(t *testing.T) {
	_, err := dial(t).Artifacts().Upload(
		t.Context(), "nobody", "a", bytes.NewReader(noise(5*mib)), runstore.ArtifactOptions{},
	)

	var missing *runstore.RunNotFoundError
	if !errors.As(err, &missing) || missing.RunID() != "nobody" {
		t.Fatalf("got %v", err)
	}
}

func TestDataThatCannotBeReadToItsEndIsNotRecorded(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	for _, cause := range []error{errors.New("the disk is gone"), io.ErrUnexpectedEOF} {
		reader := io.MultiReader(bytes.NewReader(noise(3*mib)), iotest.ErrReader(cause))

		_, err := client.Artifacts().Upload(t.Context(), run.ID(), "a", reader, runstore.ArtifactOptions{})

		if !errors.Is(err, cause) {
			t.Fatalf("got %v", err)
		}
	}
	equal(t, "recorded", has(t, client, run, "a"), false)
}

// failing can be read again, but fails in the second reading.
type failing struct {
	*bytes.Reader
	cause    error
	readings int
}

func (f *failing) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		f.readings++
	}
	return f.Reader.Seek(offset, whence)
}

func (f *failing) Read(into []byte) (int, error) {
	if f.readings > 0 {
		return 0, f.cause
	}
	return f.Reader.Read(into)
}

func TestAnUploadIsNotTriedAgainForDataThatCannotBeRead(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	_, unavailable := dialTo(t, "127.0.0.1:1").Healthy(t.Context())
	reader := &failing{Reader: bytes.NewReader(noise(10)), cause: unavailable}

	_, err := client.Artifacts().Upload(t.Context(), run.ID(), "a", reader, runstore.ArtifactOptions{})

	if !errors.Is(err, unavailable) {
		t.Fatalf("got %v", err)
	}
	equal(t, "readings", reader.readings, 1)
}

func TestACutUploadIsMadeAgain(t *testing.T) {
	way := cutting(t, upwards, 2*mib, 5*mib, 1*mib)
	client := dialTo(t, way.target)
	run := savedRun(t, dialTo(t, sharedTarget, runstore.WithProject(client.Project())))
	data := noise(8 * mib)

	artifact := uploaded(t, run, client, "a", data)

	equal(t, "connections", way.connections.Load(), 4)
	equal(t, "version", artifact.Version, 1)
	equal(t, "digest", [32]byte(artifact.SHA256), sha256.Sum256(data))
}

func TestACutUploadOfWhatCanBeReadOnceIsNot(t *testing.T) {
	way := cutting(t, upwards, 2*mib)
	client := dialTo(t, way.target)
	straight := dialTo(t, sharedTarget, runstore.WithProject(client.Project()))
	run := savedRun(t, straight)

	_, err := client.Artifacts().Upload(
		t.Context(), run.ID(), "a", once{bytes.NewReader(noise(8 * mib))}, runstore.ArtifactOptions{},
	)

	var unavailable *runstore.UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("got %v", err)
	}
	equal(t, "connections", way.connections.Load(), 1)
	equal(t, "recorded", has(t, straight, run, "a"), false)
}

// watched calls a function each time it is read.
type watched struct {
	io.ReadSeeker
	read func()
}

func (w watched) Read(into []byte) (int, error) {
	w.read()
	return w.ReadSeeker.Read(into)
}

func TestAnUploadSurvivesAServerThatIsKilled(t *testing.T) {
	s := ownServer(t)
	client := dialTo(t, s.target)
	run := savedRun(t, client)
	data := noise(20 * mib)
	reads := 0
	reader := watched{bytes.NewReader(data), func() {
		if reads++; reads == 30 { // 21 measure it
			s.stopBy(syscall.SIGKILL)
			require(t, s.start())
			require(t, s.waitUntilServing()) // longer than an upload is tried, on a busy machine
		}
	}}

	put, err := client.Artifacts().Upload(t.Context(), run.ID(), "a", reader, runstore.ArtifactOptions{})

	require(t, err)
	equal(t, "version", put.Artifact.Version, 1)
	equal(t, "digest", [32]byte(put.Artifact.SHA256), sha256.Sum256(data))
	equal(t, "versions", len(collect(t, client.Artifacts().List(t.Context(), runstore.ListArtifactsOptions{}))), 1)
	equal(t, "was read again", reads > 42, true)
}

func TestACancelledUploadIsNotRecorded(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	for name, want := range map[string]error{
		"cancelled": context.Canceled, "too late": context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, end := context.WithCancel(t.Context())
			defer end()
			if want == context.DeadlineExceeded {
				late := newLate(t)
				ctx, end = late, late.pass
			}
			reads := 0
			reader := watched{bytes.NewReader(noise(8 * mib)), func() {
				if reads++; reads == 14 { // 9 measure it
					end()
				}
			}}

			_, err := client.Artifacts().Upload(ctx, run.ID(), name, reader, runstore.ArtifactOptions{})

			if !errors.Is(err, want) {
				t.Fatalf("got %v", err)
			}
			equal(t, "recorded", has(t, client, run, name), false)
		})
	}
}
