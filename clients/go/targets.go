package runstore

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/connectivity"
)

var (
	// What gRPC resolves itself; it takes any other scheme for the name of a host.
	resolvedTarget = regexp.MustCompile(
		`^(?i:dns|ipv4|ipv6|unix|unix-abstract|vsock|xds|google-c2p|passthrough):`,
	)
	schemeOfTarget = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	hostAndPort    = regexp.MustCompile(`^(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]@]+):([0-9]+)$`)
)

const maxPort = 65535

// secureScheme begins a target that is connected to over TLS.
const secureScheme = "grpcs://"

// checkTarget fails for an address that no server can have.
func checkTarget(target string) error {
	address := strings.TrimPrefix(target, secureScheme)
	found := hostAndPort.FindStringSubmatch(address)
	if found == nil && resolvedTarget.MatchString(address) {
		return nil
	}
	if scheme := schemeOfTarget.FindString(address); scheme != "" {
		return &InvalidArgumentError{
			"target", "must be host:port, such as localhost:7411, without " + scheme + "; is " + strconv.Quote(target),
		}
	}
	if found == nil {
		return &InvalidArgumentError{
			"target", "must be host:port, such as localhost:7411; is " + strconv.Quote(target),
		}
	}
	if port, err := strconv.Atoi(found[1]); err != nil || port < 1 || port > maxPort {
		return &InvalidArgumentError{
			"target", "must have a port of 1.." + strconv.Itoa(maxPort) + "; is " + strconv.Quote(target),
		}
	}
	return nil
}

var (
	socketTarget = regexp.MustCompile(`^(?i:unix|unix-abstract):`)
	// Without a server to ask for the name.
	hostsTarget = regexp.MustCompile(`^(?i:dns|ipv4|ipv6):(?:///)?([^/]+)$`)
)

// isLoopback reports whether what is sent to the address stays on this machine: it is of loopback, or a
// socket.
func isLoopback(target string) bool {
	address := strings.TrimPrefix(target, secureScheme)
	if hostAndPort.MatchString(address) {
		return isLocal(address)
	}
	if socketTarget.MatchString(address) {
		return true
	}
	found := hostsTarget.FindStringSubmatch(address)
	if found == nil {
		return false
	}
	return !slices.ContainsFunc(strings.Split(found[1], ","), func(each string) bool { return !isLocal(each) })
}

func isLocal(address string) bool {
	host := address
	if hostAndPort.MatchString(address) {
		host = address[:strings.LastIndex(address, ":")]
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// reach is what a client knows of its target: whether it has ever been reached.
//
// Until then a call is tried once: an address without a server is a mistake more often than a server
// that is about to start, and trying on would hide it.
type reach struct {
	target string

	mutex        sync.Mutex
	wasReached   bool
	failingSince time.Time
}

// reached is called when a call came to its end, or a stream has begun.
func (r *reach) reached() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.reachedLocked()
}

func (r *reach) reachedLocked() { r.wasReached, r.failingSince = true, time.Time{} }

// isFirstFailure notes a failed attempt and reports whether it may be one of a target that has no
// server.
func (r *reach) isFirstFailure(failed *Error) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if failed.Reason != "" {
		r.reachedLocked()
	} else if r.failingSince.IsZero() {
		r.failingSince = time.Now()
	}
	return !r.wasReached
}

// explain adds to the message of an error without a reason at which target, and for how long, it was
// tried: since the time given or, if that is zero, since the first failure after the last answer.
func (r *reach) explain(failed *Error, isUnavailable bool, since time.Time) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if isUnavailable && !r.wasReached {
		failed.Message = fmt.Sprintf("no server answers at %s, tried once: %s", r.target, failed.Message)
		return
	}
	if since.IsZero() {
		since = r.failingSince
	}
	var tried time.Duration
	if !since.IsZero() {
		tried = time.Since(since)
	}
	failed.Message = fmt.Sprintf("%s (%s, tried for %.1f s)", failed.Message, r.target, tried.Seconds())
}

// mayRetry notes a failed attempt and reports whether the connection permits another.
func (c *Client) mayRetry(ctx context.Context, err error) bool {
	var failed *Error
	if !errors.As(err, &failed) || !c.reach.isFirstFailure(failed) {
		return true
	}
	// gRPC fails the calls that wait for a connection just before its state says so.
	c.conn.WaitForStateChange(ctx, connectivity.Connecting)
	if c.conn.GetState() == connectivity.TransientFailure {
		return false
	}
	c.reach.reached()
	return true
}

// final is the error to fail with after the last attempt: err, which tells more if the server gave
// no reason.
func (c *Client) final(err error, since time.Time) error {
	var failed *Error
	if !errors.As(err, &failed) || isEndedByCaller(failed) {
		return err
	}
	if failed.Reason != "" {
		c.reach.reached()
		return err
	}
	var unavailable *UnavailableError
	c.reach.explain(failed, errors.As(err, &unavailable), since)
	return err
}

// isEndedByCaller reports whether the caller cancelled the call, or closed what it was made with.
func isEndedByCaller(failed *Error) bool {
	return failed.cause != nil && !errors.Is(failed.cause, context.DeadlineExceeded)
}
