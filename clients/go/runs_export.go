package runstore

import (
	"context"
	"io"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc"
)

// exportSilence is how long an export may receive nothing: the server reads a run's snapshots and
// outputs before it sends the first bytes.
const exportSilence = 5 * time.Minute

// Export writes the run's archive, a tar file by which it is verified without a server, and returns
// how many bytes were written. docs/export.md describes the file; verify-archive verifies it.
//
// The file is whole only if no error is returned. An export that breaks is not continued: once bytes
// have been written, call it again with a new writer. It ends with ctx; the default timeout does not
// apply.
func (r *Run) Export(ctx context.Context, to io.Writer) (written int64, err error) {
	state := &exportState{run: r, to: to}
	s := streamReader[runstorev1.ExportRunResponse, struct{}]{
		client:   r.client,
		silence:  exportSilence,
		patience: patience{limit: artifactPatience, backoff: r.client.backoff},
		state:    state,
	}
	for !state.isOver {
		_, err := s.receive(ctx, func(struct{}, error) bool { return true })
		if err == nil {
			continue
		}
		if state.failure != nil {
			return state.written, state.failure
		}
		if state.written == 0 {
			err = s.waitToReopen(ctx, err)
		}
		if err != nil {
			return state.written, r.client.final(err, time.Time{})
		}
	}
	return state.written, nil
}

// exportState is how far an export has got.
type exportState struct {
	run     *Run
	to      io.Writer
	written int64
	failure error // of the writer
	isOver  bool
}

func (f *exportState) hasEnded() bool { return f.isOver }

func (f *exportState) open(
	ctx context.Context,
) (grpc.ServerStreamingClient[runstorev1.ExportRunResponse], error) {
	service := runstorev1.NewAdminServiceClient(f.run.client.conn)
	return openStream(ctx, service.ExportRun, &runstorev1.ExportRunRequest{
		Project: f.run.client.project, RunId: f.run.id,
	})
}

func (f *exportState) take(
	message *runstorev1.ExportRunResponse, _ func(struct{}, error) bool,
) (isWanted bool, err error) {
	count, err := f.to.Write(message.Data)
	if count < len(message.Data) && err == nil {
		err = io.ErrShortWrite
	}
	f.written += int64(count)
	f.failure = err
	return err == nil, err
}

func (f *exportState) ended() error {
	f.isOver = true
	return nil
}
