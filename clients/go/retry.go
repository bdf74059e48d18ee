package runstore

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
)

// backoff is when a failed call is tried again: after exponential delays with jitter.
type backoff struct {
	first, most time.Duration
	factor      float64
}

var defaultBackoff = backoff{first: 50 * time.Millisecond, most: 2 * time.Second, factor: 2}

// delay says how long to wait before the try after attempt (1, 2, ...); false means do not.
//
// Every write carries ids made by the client, so a write whose answer was lost can be repeated; only
// failures that a later try may mend are.
func (b backoff) delay(attempt int, err error) (time.Duration, bool) {
	var unavailable *UnavailableError
	var overloaded *OverloadedError
	if !errors.As(err, &unavailable) && !errors.As(err, &overloaded) {
		return 0, false
	}
	ceiling := min(float64(b.most), float64(b.first)*math.Pow(b.factor, float64(attempt-1)))
	jittered := time.Duration(ceiling * (0.5 + rand.Float64()/2))
	var told *Error
	errors.As(err, &told)
	return max(jittered, told.RetryAfter), true
}

// patience counts the failures in a row of a stream that has to go on.
//
// Time counts from the first failure after a success: a caller who is slow between two messages uses
// none of it up.
type patience struct {
	limit        time.Duration
	backoff      backoff
	failures     int
	failingSince time.Time
}

// renew forgets the failures: the stream went on, or nobody waited for it.
func (p *patience) renew() { p.failures = 0 }

// delay says how long to wait before the stream is opened again; false when it is given up.
func (p *patience) delay(err error) (time.Duration, bool) {
	if p.failures == 0 {
		p.failingSince = time.Now()
	}
	p.failures++
	if time.Since(p.failingSince) > p.limit {
		return 0, false
	}
	return p.backoff.delay(p.failures, err)
}

// method is a unary RPC of a generated stub.
type method[Request, Response any] func(context.Context, *Request, ...grpc.CallOption) (*Response, error)

// send makes one call, again where that is safe and may help, until the context's deadline.
func send[Request, Response any](
	ctx context.Context, client *Client, call method[Request, Response], request *Request,
) (*Response, error) {
	if _, hasDeadline := ctx.Deadline(); !hasDeadline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, client.timeout)
		defer cancel()
	}
	for attempt := 1; ; attempt++ {
		response, err := call(client.outgoing(ctx), request)
		if err == nil {
			return response, nil
		}
		err = client.errorOf(ctx, err)
		delay, mayHelp := client.backoff.delay(attempt, err)
		if !mayHelp {
			return nil, err
		}
		if stop := client.wait(ctx, delay, err); stop != nil {
			return nil, stop
		}
	}
}

// wait sleeps before another try; it returns what to fail with where there is none: err when the
// time would be over before.
func (c *Client) wait(ctx context.Context, delay time.Duration, err error) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < delay {
		return err
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	case <-c.closed:
		return closedError("client")
	}
}
