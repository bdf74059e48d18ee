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

// artifactSilence is how long a download that is alive may bring nothing.
const artifactSilence = time.Minute

// DownloadOptions says which bytes of an artifact to download.
type DownloadOptions struct {
	// Offset is the first byte wanted.
	Offset int64
	// Length is how many bytes; 0 means up to the end. A range that is not within the artifact is
	// [*RangeBeyondEndError].
	Length int64
}

// Download is an artifact's bytes on their way: an [io.ReadCloser] and an [io.WriterTo]. It is for
// one goroutine at a time. Close has to be called where it is not read to its end.
type Download struct {
	// Artifact is what is downloaded.
	Artifact *Artifact

	next func() ([]byte, error, bool)
	stop func()
	rest []byte
	err  error
}

// Download begins to download an artifact, or a range of it.
//
// A download that breaks, or falls silent for a minute, goes on behind the last byte received, and
// with the same version whatever is uploaded meanwhile; it fails after a minute of failures. The
// bytes of a whole artifact are checked against its SHA-256: where they are others, reading ends with
// a [*ProtocolError] in place of io.EOF. The end of ctx ends the download; the default timeout does
// not count here. A link is [*ArtifactIsLinkError].
func (a *Artifacts) Download(
	ctx context.Context, which ArtifactRef, options DownloadOptions,
) (*Download, error) {
	f := &downloading{
		artifacts: a, which: which, offset: options.Offset, length: options.Length,
	}
	if options.Offset == 0 && options.Length == 0 {
		f.digest = sha256.New()
	}
	next, stop := iter.Pull2(stream(
		ctx, a.client, artifactSilence/missedHeartbeats, artifactPatience,
		func() follows[runstorev1.DownloadArtifactResponse, []byte] { return f },
	))
	if _, err, _ := next(); err != nil {
		stop()
		return nil, err
	}
	return &Download{Artifact: f.artifact, next: next, stop: stop}, nil
}

// Read reads bytes; io.EOF says that all of them came and are the artifact's.
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

// WriteTo writes all bytes that are left. Where it fails for the writer's sake, the bytes that were
// not written are still there.
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

// Close ends the download; reading fails with [ErrClosed] from then on.
func (d *Download) Close() error {
	d.stop()
	d.rest, d.err = nil, closedError("download")
	return nil
}

// fill waits for bytes where none are left.
func (d *Download) fill() error {
	for len(d.rest) == 0 && d.err == nil {
		chunk, err, ok := d.next()
		if !ok {
			err = io.EOF
		}
		if err != nil {
			d.stop() // what yielded the failure waits to go on
		}
		d.rest, d.err = chunk, err
	}
	if len(d.rest) > 0 {
		return nil
	}
	return d.err
}

// downloading is where a download stands. It yields no bytes once the artifact is known, then the
// bytes.
type downloading struct {
	artifacts *Artifacts
	which     ArtifactRef
	offset    int64
	length    int64 // of what is still wanted; 0 before the artifact is known: up to the end
	artifact  *Artifact
	digest    hash.Hash // nil where no whole artifact is wanted
	isOver    bool
}

func (f *downloading) hasEnded() bool { return f.isOver }

// open asks for everything not received yet: once the artifact is known of this very one, for a newer
// version must not go on where this one broke off.
func (f *downloading) open(
	ctx context.Context,
) (grpc.ServerStreamingClient[runstorev1.DownloadArtifactResponse], error) {
	return f.artifacts.service.DownloadArtifact(ctx, &runstorev1.DownloadArtifactRequest{
		Project:    f.artifacts.client.project,
		ArtifactId: f.which.ArtifactID,
		RunId:      f.which.RunID,
		Name:       f.which.Name,
		Version:    f.which.Version,
		Offset:     f.offset,
		Length:     f.length,
	})
}

func (f *downloading) take(
	message *runstorev1.DownloadArtifactResponse, yield func([]byte, error) bool,
) (isWanted bool, err error) {
	var chunk []byte
	switch kind := message.Message.(type) {
	case *runstorev1.DownloadArtifactResponse_Artifact:
		if f.artifact != nil {
			return true, nil // the stream was opened again
		}
		f.begin(artifactOf(kind.Artifact))
	case *runstorev1.DownloadArtifactResponse_Chunk:
		chunk = kind.Chunk
	}
	if f.artifact == nil {
		return true, protocolError("the server began a download without its artifact")
	}
	if int64(len(chunk)) > f.length {
		return true, protocolError("the server sent more bytes than were asked for")
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

func (f *downloading) begin(artifact *Artifact) {
	f.artifact = artifact
	f.which = ArtifactRef{ArtifactID: artifact.ArtifactID}
	if f.length == 0 && artifact.Size != nil {
		f.length = *artifact.Size - f.offset
	}
}

// check ends the download with its last byte, and compares the bytes of a whole artifact.
func (f *downloading) check() error {
	if f.length > 0 {
		return nil
	}
	if f.digest != nil && !bytes.Equal(f.digest.Sum(nil), f.artifact.SHA256) {
		return protocolError("the bytes received are not the artifact's")
	}
	f.isOver = true
	return nil
}

func (f *downloading) ended() error {
	if !f.isOver {
		return protocolError("the server ended a download %d bytes early", f.length)
	}
	return nil
}
