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

// Upload stores what data has from where it stands to its end as the next version of a name; the
// newest version, where that has these bytes, with Deduplicated. The answer has their digest and
// size.
//
// Data that can seek, such as a file, is read twice: its digest goes first, so that the server takes
// only what it does not have, and an upload that fails as unavailable is repeated for a minute. Other
// data can be read once only, so its upload is not tried again. A reader that fails, or ends with
// anything but io.EOF, ends the upload: nothing is recorded. Only ctx bounds the time; the default
// timeout does not count here.
func (a *Artifacts) Upload(
	ctx context.Context, runID, name string, data io.Reader, options ArtifactOptions,
) (*ArtifactPut, error) {
	var e encoder
	u := &uploading{artifacts: a, data: data, header: &runstorev1.ArtifactHeader{
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
			return &ArtifactPut{artifactOf(response.Artifact), response.Deduplicated}, nil
		}
		if u.seeker == nil || u.hasFailed {
			return nil, err
		}
		delay, mayHelp := left.delay(err)
		if !mayHelp {
			return nil, err
		}
		if stop := a.client.wait(ctx, delay, err); stop != nil {
			return nil, stop
		}
		if err := u.rewind(); err != nil {
			return nil, err
		}
	}
}

// uploading is data on its way to the server.
type uploading struct {
	artifacts *Artifacts
	header    *runstorev1.ArtifactHeader
	data      io.Reader
	// seeker is nil where the data can be read once only.
	seeker io.Seeker
	start  int64
	// hasFailed tells that the data cannot be read: no try mends that.
	hasFailed bool
}

// findStart notes where to read from again; a pipe has the method and fails.
func (u *uploading) findStart() {
	seeker, ok := u.data.(io.Seeker)
	if !ok {
		return
	}
	if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
		u.seeker, u.start = seeker, start
	}
}

func (u *uploading) rewind() error {
	if _, err := u.seeker.Seek(u.start, io.SeekStart); err != nil {
		return unreadable(err)
	}
	return nil
}

// measure fills in digest and size of data that can be read again; what was given stays.
func (u *uploading) measure(ctx context.Context) error {
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

// send makes the call once. A call that is left early is cancelled, so that it is not taken for a
// whole upload.
func (u *uploading) send(ctx context.Context) (*runstorev1.UploadArtifactResponse, error) {
	client := u.artifacts.client
	calling, cancel := context.WithCancel(client.outgoing(ctx))
	defer cancel()
	stream, err := u.artifacts.service.UploadArtifact(calling)
	if err != nil {
		return nil, client.errorOf(ctx, err)
	}
	for message, err := range u.messages() {
		if err != nil {
			u.hasFailed = true
			return nil, unreadable(err)
		}
		err = stream.Send(message)
		if err == io.EOF { // over already; the answer says how
			break
		}
		if err != nil {
			return nil, toldOrBroken(client.errorOf(ctx, err))
		}
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return nil, toldOrBroken(client.errorOf(ctx, err))
	}
	return response, nil
}

func (u *uploading) messages() iter.Seq2[*runstorev1.UploadArtifactRequest, error] {
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

// chunksOf yields the data in pieces small enough to send, each in memory of its own. Only io.EOF is
// its end: io.ErrUnexpectedEOF is what a reader says whose source was cut.
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

func unreadable(err error) error { return errorf("the data to upload cannot be read: %w", err) }
