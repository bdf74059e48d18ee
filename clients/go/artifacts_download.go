package runstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc"
)

// artifactSilence is how long a download may receive nothing before it is reopened.
const artifactSilence = time.Minute

// DownloadOptions say which bytes of an artifact to download.
type DownloadOptions struct {
	// Offset is the first byte wanted.
	Offset int64
	// Length is how many bytes; 0 means up to the end. A range that is not within the artifact
	// fails with [*RangeBeyondEndError].
	Length int64
}

// Download reads the bytes of an artifact: an [io.ReadCloser] and an [io.WriterTo]. Only one
// goroutine may use it at a time. Close it unless it is read to its end.
type Download struct {
	// Artifact is the one that is downloaded.
	Artifact *Artifact

	next func() ([]byte, error, bool)
	stop func()
	rest []byte
	err  error
}

// Download starts to download an artifact, or a range of it.
//
// A download that breaks, or is silent for a minute, continues after the last byte received, in the
// same version whatever is uploaded in the meantime; after a minute of failures it fails. The bytes
// of a whole artifact are checked against its SHA-256: if they differ, reading ends with a
// [*ProtocolError] instead of io.EOF. The download ends with ctx; the default timeout does not
// apply. For a link it fails with [*ArtifactIsLinkError].
func (a *Artifacts) Download(
	ctx context.Context, which ArtifactRef, options DownloadOptions,
) (*Download, error) {
	f := &downloadState{
		artifacts: a, which: which, offset: options.Offset, length: options.Length,
	}
	if options.Offset == 0 && options.Length == 0 {
		f.digest = sha256.New()
	}
	next, stop := iter.Pull2(stream(
		ctx, a.client, artifactSilence/missedHeartbeats, artifactPatience,
		func() streamState[runstorev1.DownloadArtifactResponse, []byte] { return f },
	))
	if _, err, _ := next(); err != nil {
		stop()
		return nil, err
	}
	return &Download{Artifact: f.artifact, next: next, stop: stop}, nil
}

// Read reads bytes; io.EOF means that all were received and that a whole artifact's digest matched.
func (d *Download) Read(into []byte) (int, error) {
	if len(into) == 0 {
		return 0, nil
	}
	if err := d.fill(); err != nil {
		return 0, err
	}
	count := copy(into, d.rest)
	d.rest = d.rest[count:]
	return count, nil
}

// WriteTo writes all remaining bytes. If the writer fails, the bytes it did not take can still be
// read.
func (d *Download) WriteTo(to io.Writer) (written int64, err error) {
	for {
		if err := d.fill(); err == io.EOF {
			return written, nil
		} else if err != nil {
			return written, err
		}
		count, err := to.Write(d.rest)
		if count < len(d.rest) && err == nil {
			err = io.ErrShortWrite
		}
		d.rest = d.rest[count:]
		written += int64(count)
		if err != nil {
			return written, err
		}
	}
}

// Close ends the download; later reads fail with [ErrClosed].
func (d *Download) Close() error {
	d.stop()
	d.rest, d.err = nil, closedError("download")
	return nil
}

// fill waits for bytes if none are buffered.
func (d *Download) fill() error {
	for len(d.rest) == 0 && d.err == nil {
		chunk, err, ok := d.next()
		if !ok {
			err = io.EOF
		}
		if err != nil {
			d.stop() // the iterator is suspended after the error that it yielded
		}
		d.rest, d.err = chunk, err
	}
	if len(d.rest) > 0 {
		return nil
	}
	return d.err
}

// downloadState is how far a download has got. It first yields an empty chunk, once the artifact is
// known, then the bytes.
type downloadState struct {
	artifacts *Artifacts
	which     ArtifactRef
	offset    int64
	length    int64 // bytes left; 0 before the artifact is known means up to the end
	artifact  *Artifact
	digest    hash.Hash // nil for a range
	isOver    bool
}

func (f *downloadState) hasEnded() bool { return f.isOver }

// open requests the bytes not received yet. Once the artifact is known it is requested by id, so
// that the download does not continue in a newer version.
func (f *downloadState) open(
	ctx context.Context,
) (grpc.ServerStreamingClient[runstorev1.DownloadArtifactResponse], error) {
	return openStream(ctx, f.artifacts.service.DownloadArtifact, &runstorev1.DownloadArtifactRequest{
		Project:    f.artifacts.client.project,
		ArtifactId: f.which.ArtifactID,
		RunId:      f.which.RunID,
		Name:       f.which.Name,
		Version:    f.which.Version,
		Offset:     f.offset,
		Length:     f.length,
	})
}

func (f *downloadState) take(
	message *runstorev1.DownloadArtifactResponse, yield func([]byte, error) bool,
) (isWanted bool, err error) {
	var chunk []byte
	switch kind := message.Message.(type) {
	case *runstorev1.DownloadArtifactResponse_Artifact:
		if f.artifact != nil {
			return true, nil // the stream was reopened
		}
		f.begin(artifactOf(kind.Artifact))
	case *runstorev1.DownloadArtifactResponse_Chunk:
		chunk = kind.Chunk
	}
	if f.artifact == nil {
		return true, protocolError("the server started a download without describing the artifact")
	}
	if int64(len(chunk)) > f.length {
		return true, protocolError("the server sent more bytes than requested")
	}
	f.offset += int64(len(chunk))
	f.length -= int64(len(chunk))
	if f.digest != nil {
		f.digest.Write(chunk)
	}
	if !yield(chunk, nil) {
		return false, nil
	}
	return true, f.check()
}

func (f *downloadState) begin(artifact *Artifact) {
	f.artifact = artifact
	f.which = ArtifactRef{ArtifactID: artifact.ArtifactID}
	if f.length == 0 && artifact.Size != nil {
		f.length = *artifact.Size - f.offset
	}
}

// check ends the download after its last byte and checks the digest of a whole artifact.
func (f *downloadState) check() error {
	if f.length > 0 {
		return nil
	}
	if f.digest != nil && !bytes.Equal(f.digest.Sum(nil), f.artifact.SHA256) {
		return protocolError("the received bytes do not match the artifact's SHA-256")
	}
	f.isOver = true
	return nil
}

func (f *downloadState) ended() error {
	if !f.isOver {
		return protocolError("the server ended a download %d bytes early", f.length)
	}
	return nil
}
