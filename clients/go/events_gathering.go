package runstore

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	maxGathered = 1000
	// An append of so many bytes goes alone: it would hold up those that share its request.
	largeAppend = 64 << 10
	// The longest that an append waits for the request before it, by default.
	gatheringPatience = 50 * time.Millisecond
)

// gathering lets the appends of single events that are made at the same time share requests.
//
// An append goes at once if no request is on its way. Those that come meanwhile go together when it is
// answered, or has taken as long as the patience.
type gathering struct {
	client   *Client
	patience time.Duration

	mutex   sync.Mutex
	waiting []*gathered
	// The latest request.
	onItsWay     *departure
	isNotOffered bool
}

// departure is a request on its way, and the end of the patience with it.
type departure struct{ patience *time.Timer }

// gathered is an append that waits for the request it will be part of, or for that request's answer.
type gathered struct {
	request  *runstorev1.AppendEventRequest
	size     int
	deadline time.Time
	settled  chan outcome // has room for the only one
}

// outcome is an answer, or an error as a stub returns it. Without either, the append has to be sent by
// itself.
type outcome struct {
	response *runstorev1.AppendEventResponse
	err      error
}

// append makes one attempt of an append, as the stub does. The context has a deadline.
func (g *gathering) append(
	ctx context.Context, request *runstorev1.AppendEventRequest, _ ...grpc.CallOption,
) (*runstorev1.AppendEventResponse, error) {
	size := proto.Size(request)
	g.mutex.Lock()
	if g.isNotOffered || size > largeAppend {
		g.mutex.Unlock()
		return g.client.service.AppendEvent(ctx, request)
	}
	if g.onItsWay == nil {
		return g.goAlone(ctx, request)
	}
	deadline, _ := ctx.Deadline()
	waiting := &gathered{request, size, deadline, make(chan outcome, 1)}
	g.waiting = append(g.waiting, waiting)
	g.mutex.Unlock()
	select {
	case told := <-waiting.settled:
		if told.response == nil && told.err == nil {
			g.mutex.Lock()
			return g.goAlone(ctx, request)
		}
		return told.response, told.err
	case <-ctx.Done():
		g.mutex.Lock()
		defer g.mutex.Unlock()
		g.waiting = slices.DeleteFunc(g.waiting, func(each *gathered) bool { return each == waiting })
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// goAlone sends an append by itself. It is called with the mutex locked, and unlocks it.
func (g *gathering) goAlone(
	ctx context.Context, request *runstorev1.AppendEventRequest,
) (*runstorev1.AppendEventResponse, error) {
	departed := g.departLocked()
	g.mutex.Unlock()
	defer g.arrive(departed)
	return g.client.service.AppendEvent(ctx, request)
}

func (g *gathering) departLocked() *departure {
	departed := &departure{}
	departed.patience = time.AfterFunc(g.patience, func() { g.arrive(departed) })
	g.onItsWay = departed
	return departed
}

// arrive lets those go that wait for the request.
func (g *gathering) arrive(departed *departure) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	departed.patience.Stop()
	if departed != g.onItsWay {
		return
	}
	g.onItsWay = nil
	for len(g.waiting) > 0 {
		batch := g.takeLocked()
		if len(batch) == 1 {
			batch[0].settled <- outcome{}
			continue
		}
		go g.carry(batch, g.departLocked())
	}
}

// takeLocked takes what fits into one request.
func (g *gathering) takeLocked() []*gathered {
	size, count := 0, 0
	for _, each := range g.waiting[:min(len(g.waiting), maxGathered)] {
		if size += each.size; size > maxStreamBytes && count > 0 {
			break
		}
		count++
	}
	batch := slices.Clone(g.waiting[:count])
	g.waiting = slices.Delete(g.waiting, 0, count)
	return batch
}

func (g *gathering) carry(batch []*gathered, departed *departure) {
	for i, each := range g.outcomes(batch) {
		batch[i].settled <- each
	}
	runtime.Gosched() // those just answered run first, so that their next appends go along
	g.arrive(departed)
}

func (g *gathering) outcomes(batch []*gathered) []outcome {
	latest := slices.MaxFunc(batch, func(a, b *gathered) int { return a.deadline.Compare(b.deadline) })
	ctx, cancel := context.WithDeadline(g.client.outgoing(context.Background()), latest.deadline)
	defer cancel()
	response, err := g.client.service.AppendMany(ctx, &runstorev1.AppendManyRequest{
		Project: g.client.project,
		Appends: mapped(batch, func(each *gathered) *runstorev1.AppendEventRequest { return each.request }),
	})
	if err != nil {
		return g.failures(batch, err)
	}
	if len(response.Results) != len(batch) {
		err := status.Errorf(codes.Internal, "the server answered %d of %d appends", len(response.Results), len(batch))
		return mapped(batch, func(*gathered) outcome { return outcome{err: err} })
	}
	return mapped(response.Results, outcomeOf)
}

func outcomeOf(result *runstorev1.AppendResult) outcome {
	if refusal := result.GetError(); refusal != nil {
		return outcome{err: status.FromProto(refusal).Err()}
	}
	return outcome{response: result.GetAppended()}
}

// failures are what the failure of a request means for each of its appends.
//
// A failure that may pass is one of each of them, and so is a refusal of the caller. Any other may be the
// request's own, which is larger than theirs and unknown to older servers.
func (g *gathering) failures(batch []*gathered, err error) []outcome {
	if status.Code(err) == codes.Unimplemented {
		g.mutex.Lock()
		g.isNotOffered = true
		g.mutex.Unlock()
	}
	failed := attemptError(errorOf(context.Background(), err))
	var unauthenticated *UnauthenticatedError
	var denied *PermissionDeniedError
	var late *DeadlineExceededError
	isOfCaller := errors.As(failed, &unauthenticated) || errors.As(failed, &denied)
	isLate := errors.As(failed, &late)
	return mapped(batch, func(each *gathered) outcome {
		switch {
		case isLate && time.Now().Before(each.deadline):
			return outcome{err: status.Error(codes.Unavailable, "the request that the append was part of ran out of time")}
		case isLate || isOfCaller || mayPass(failed):
			return outcome{err: err}
		}
		return outcome{}
	})
}
