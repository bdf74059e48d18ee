package runstore

import (
	"context"
	"crypto/sha256"
	"io"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

const (
	chunkBytes       = 1 << 20
	artifactPatience = time.Minute
)

// Upload stores the rest of data as the next version of a name. If the newest version already has
// these bytes, it returns that one with Deduplicated. The result has their digest and size.
//
// Data that can seek, such as a file, is read twice: the digest is sent first, so that bytes that
// the server already has are not sent again, and an upload that fails as unavailable is retried for
// a minute. Other data can be read only once, so its upload is not retried. If the reader fails,
// the upload ends and nothing is recorded. Only ctx limits the time; the default timeout does not
// apply.
func (a *Artifacts) Upload(
	ctx context.Context, runID, name string, data io.Reader, options ArtifactOptions,
) (*ArtifactPut, error) {
	var e encoder
	u := &upload{artifacts: a, data: data, header: &runstorev1.ArtifactHeader{
		Project:     a.client.project,
		RunId:       runID,
		Name:        name,
		Type:        options.Type,
		ContentType: options.ContentType,
		Sha256:      options.SHA256,
		Size:        options.Size,
		Metadata:    e.payload(options.Metadata),
		Actor:       options.Actor,
	}}
	if e.err != nil {
		return nil, e.err
	}
	u.findStart()
	if err := u.measure(ctx); err != nil {
		return nil, err
	}
	left := patience{limit: artifactPatience, backoff: a.client.backoff}
	for {
		response, err := u.send(ctx)
		if err == nil {
			a.client.reach.reached()
			return &ArtifactPut{artifactOf(response.Artifact), response.Deduplicated}, nil
		}
		if u.hasFailed {
			return nil, err
		}
		delay, isRetryable := left.delay(err)
		if !a.client.mayRetry(ctx, err) || !isRetryable || u.seeker == nil {
			return nil, a.client.final(err, time.Time{})
		}
		if stop := a.client.wait(ctx, delay, err); stop != nil {
			return nil, a.client.final(stop, time.Time{})
		}
		if err := u.rewind(); err != nil {
			return nil, err
		}
	}
}

// upload is the state of an upload across retries.
type upload struct {
	artifacts *Artifacts
	header    *runstorev1.ArtifactHeader
	data      io.Reader
	// seeker is nil if the data can be read only once.
	seeker io.Seeker
	start  int64
	// hasFailed means that the data cannot be read, so that a retry would not help.
	hasFailed bool
}

// findStart records where to read from again; a pipe has the method but fails.
func (u *upload) findStart() {
	seeker, ok := u.data.(io.Seeker)
	if !ok {
		return
	}
	if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
		u.seeker, u.start = seeker, start
	}
}

func (u *upload) rewind() error {
	if _, err := u.seeker.Seek(u.start, io.SeekStart); err != nil {
		return unreadable(err)
	}
	return nil
}

// measure fills in the digest and size of data that can be read again, unless they were given.
func (u *upload) measure(ctx context.Context) error {
	isKnown := len(u.header.Sha256) > 0 && u.header.Size != nil
	if u.seeker == nil || isKnown {
		return nil
	}
	digest, size := sha256.New(), int64(0)
	for chunk, err := range chunksOf(u.data) {
		if err != nil {
			return unreadable(err)
		}
		if ctx.Err() != nil {
			return contextError(ctx)
		}
		digest.Write(chunk)
		size += int64(len(chunk))
	}
	if len(u.header.Sha256) == 0 {
		u.header.Sha256 = digest.Sum(nil)
	}
	if u.header.Size == nil {
		u.header.Size = &size
	}
	return u.rewind()
}

// send makes the call once. A call that is abandoned is cancelled, so that the server does not take
// it for a complete upload.
func (u *upload) send(ctx context.Context) (*runstorev1.UploadArtifactResponse, error) {
	client := u.artifacts.client
	calling, cancel := context.WithCancel(client.outgoing(ctx))
	defer cancel()
	stream, err := u.artifacts.service.UploadArtifact(calling)
	if err != nil {
		return nil, client.judged(calling, client.errorOf(ctx, err))
	}
	for message, err := range u.messages() {
		if err != nil {
			u.hasFailed = true
			return nil, unreadable(err)
		}
		err = stream.Send(message)
		if err == io.EOF { // the call is over; the response says why
			break
		}
		if err != nil {
			return nil, client.errorOf(ctx, orUnsendable(err, message))
		}
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return nil, client.judged(calling, client.requestsErrorOf(ctx, err))
	}
	return response, nil
}

func (u *upload) messages() iter.Seq2[*runstorev1.UploadArtifactRequest, error] {
	return func(yield func(*runstorev1.UploadArtifactRequest, error) bool) {
		if !yield(&runstorev1.UploadArtifactRequest{
			Message: &runstorev1.UploadArtifactRequest_Header{Header: u.header},
		}, nil) {
			return
		}
		for chunk, err := range chunksOf(u.data) {
			message := &runstorev1.UploadArtifactRequest{
				Message: &runstorev1.UploadArtifactRequest_Chunk{Chunk: chunk},
			}
			if !yield(message, err) {
				return
			}
		}
	}
}

// chunksOf yields the data in chunks small enough to send, each in its own memory. Only io.EOF ends
// it: io.ErrUnexpectedEOF means that the source of the reader was cut short.
func chunksOf(data io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			chunk, filled := make([]byte, chunkBytes), 0
			var err error
			for filled < len(chunk) && err == nil {
				var count int
				count, err = data.Read(chunk[filled:])
				filled += count
			}
			if err != nil && err != io.EOF {
				yield(nil, err)
				return
			}
			if filled > 0 && !yield(chunk[:filled], nil) || err == io.EOF {
				return
			}
		}
	}
}

func unreadable(err error) error { return errorf("cannot read the data to upload: %w", err) }
