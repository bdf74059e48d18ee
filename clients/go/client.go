package runstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

const (
	// DefaultTarget is where a client connects when neither Dial nor the environment names a
	// target.
	DefaultTarget = "localhost:7411"
	// TargetVariable is the environment variable that Dial reads when it is given no target.
	TargetVariable = "RUNSTORE_TARGET"
	// DefaultTimeout is how long a call may take, retries included, if its context has no deadline.
	DefaultTimeout = 10 * time.Second

	defaultProject = "default"
)

// Client makes the calls of one project.
type Client struct {
	project  string
	timeout  time.Duration
	metadata []string
	tokens   *tokenSource // nil if calls carry none
	backoff  backoff
	conn     *grpc.ClientConn
	reach    reach
	service  runstorev1.RunServiceClient
	// Makes one attempt of an append of a single event.
	appendEvent method[*runstorev1.AppendEventRequest, runstorev1.AppendEventResponse]
	close       sync.Once
	closed      chan struct{}
}

// Option configures a client.
type Option func(*options)

type options struct {
	project     string
	timeout     time.Duration
	metadata    []string
	credentials credentials.TransportCredentials
	dial        []grpc.DialOption
	token       *string
	tokenFile   *string

	isInsecureToken bool
	isNotGathering  bool
}

// WithProject sets the project, such as "acme/search", of every read and write. The default is
// "default".
func WithProject(project string) Option {
	return func(o *options) { o.project = project }
}

// WithTimeout sets how long a call may take, retries included, if its context has no deadline. The
// default is [DefaultTimeout].
func WithTimeout(timeout time.Duration) Option {
	return func(o *options) { o.timeout = timeout }
}

// WithTLS connects over TLS with config. By default the connection is not encrypted, unless the target
// begins with grpcs://.
func WithTLS(config *tls.Config) Option {
	return WithTransportCredentials(credentials.NewTLS(config))
}

// WithTransportCredentials connects with gRPC transport credentials.
func WithTransportCredentials(transport credentials.TransportCredentials) Option {
	return func(o *options) { o.credentials = transport }
}

// WithToken has every call carry a token. Without this option and WithTokenFile it is that of
// $RUNSTORE_TOKEN, or of the file that $RUNSTORE_TOKEN_FILE names.
func WithToken(token string) Option {
	return func(o *options) { o.token = &token }
}

// WithTokenFile has every call carry the token that a file holds. The file is read again each minute, and
// at once when the caller is refused: what was refused with a token that has been replaced since is
// repeated, and streams go on.
func WithTokenFile(path string) Option {
	return func(o *options) { o.tokenFile = &path }
}

// WithInsecureToken permits to send the token to other machines in plain text, as does
// $RUNSTORE_ALLOW_INSECURE_TOKEN if it is "true". By default it goes in plain text to loopback addresses
// and Unix sockets alone.
func WithInsecureToken() Option {
	return func(o *options) { o.isInsecureToken = true }
}

// WithMetadata adds key-value pairs to the metadata of every call.
func WithMetadata(pairs ...string) Option {
	return func(o *options) { o.metadata = append(o.metadata, pairs...) }
}

// WithoutGathering sends every append by itself. By default, appends of single events that are made at
// the same time share requests.
func WithoutGathering() Option {
	return func(o *options) { o.isNotGathering = true }
}

// WithDialOptions adds gRPC dial options, which override the client's own.
func WithDialOptions(dial ...grpc.DialOption) Option {
	return func(o *options) { o.dial = append(o.dial, dial...) }
}

// Dial returns a client of the server at target, such as "localhost:7411". An empty target means
// $RUNSTORE_TARGET, or else [DefaultTarget]. "grpcs://localhost:7411" is connected to over TLS: with the
// credentials of an option, or else with the PEM files that $RUNSTORE_CA_FILE,
// $RUNSTORE_CLIENT_CERT_FILE and $RUNSTORE_CLIENT_KEY_FILE name, or else with the system's CAs. Dial does
// not connect before the first call, so it fails only if the target, an option or a variable is invalid.
func Dial(target string, opts ...Option) (*Client, error) {
	o := options{
		project: defaultProject, timeout: DefaultTimeout,
	}
	for _, option := range opts {
		option(&o)
	}
	if target == "" {
		target = os.Getenv(TargetVariable)
	}
	if target == "" {
		target = DefaultTarget
	}
	if err := cmp.Or(checkTarget(target), o.check()); err != nil {
		return nil, err
	}
	transport, err := o.transport(target)
	if err != nil {
		return nil, err
	}
	tokens, err := o.tokens()
	if err != nil {
		return nil, err
	}
	dial := dialOptions(transport)
	if tokens != nil {
		if isInsecure(transport) {
			err = o.checkPlaintext(target)
		}
		if err != nil {
			return nil, err
		}
		dial = append(dial, grpc.WithPerRPCCredentials(bearer{needsSecurity: !isInsecure(transport)}))
	}
	conn, err := grpc.NewClient(
		strings.TrimPrefix(target, secureScheme), append(dial, o.dial...)...,
	)
	if err != nil {
		return nil, errorf("cannot connect to %q: %w", target, err)
	}
	client := &Client{
		project:  o.project,
		timeout:  o.timeout,
		metadata: o.metadata,
		tokens:   tokens,
		backoff:  defaultBackoff,
		conn:     conn,
		reach:    reach{target: target},
		service:  runstorev1.NewRunServiceClient(conn),
		closed:   make(chan struct{}),
	}
	client.appendEvent = client.service.AppendEvent
	if !o.isNotGathering {
		client.appendEvent = (&gathering{client: client, patience: gatheringPatience}).append
	}
	return client, nil
}

var (
	metadataKey  = regexp.MustCompile(`^[0-9a-z_.-]+$`)
	metadataText = regexp.MustCompile(`^[\x20-\x7e]*$`)
)

// transport is what the connection is secured with, or not.
func (o *options) transport(target string) (credentials.TransportCredentials, error) {
	switch {
	case o.credentials != nil:
		if isInsecure(o.credentials) && strings.HasPrefix(target, secureScheme) {
			return nil, &InvalidArgumentError{"target", "asks for TLS, and an option forbids it"}
		}
		return o.credentials, nil
	case strings.HasPrefix(target, secureScheme):
		config, err := tlsOfEnvironment()
		if err != nil {
			return nil, err
		}
		return credentials.NewTLS(config), nil
	default:
		return insecure.NewCredentials(), nil
	}
}

// isInsecure reports whether a connection is in plain text.
func isInsecure(transport credentials.TransportCredentials) bool {
	return transport.Info().SecurityProtocol == insecure.NewCredentials().Info().SecurityProtocol
}

// check fails for options that would fail every call.
func (o *options) check() error {
	if o.timeout <= 0 {
		return &InvalidArgumentError{"timeout", fmt.Sprintf("must be positive; is %v", o.timeout)}
	}
	if len(o.metadata)%2 != 0 {
		return &InvalidArgumentError{"metadata", "must be key-value pairs"}
	}
	for pair := range slices.Chunk(o.metadata, 2) {
		key, value := strings.ToLower(pair[0]), pair[1]
		if !metadataKey.MatchString(key) {
			return &InvalidArgumentError{"metadata", fmt.Sprintf("%q cannot be a key", pair[0])}
		}
		if !strings.HasSuffix(key, "-bin") && !metadataText.MatchString(value) {
			return &InvalidArgumentError{
				"metadata", fmt.Sprintf("%q has a value that is not printable ASCII", pair[0]),
			}
		}
	}
	return nil
}

// dialOptions reconnect quickly, detect a dead connection with pings at a rate the server allows,
// and do not limit message sizes.
func dialOptions(transport credentials.TransportCredentials) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: grpcbackoff.Config{
				BaseDelay:  100 * time.Millisecond,
				Multiplier: 1.6,
				Jitter:     0.2,
				MaxDelay:   2 * time.Second,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true,
		}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32),
		),
	}
}

// String names the target and the project.
func (c *Client) String() string {
	return fmt.Sprintf("client of %s, project %q", c.reach.target, c.project)
}

// Project returns the project that the client reads and writes.
func (c *Client) Project() string { return c.project }

// Close closes the connection; calls in flight fail with [ErrClosed].
func (c *Client) Close() error {
	var err error
	c.close.Do(func() {
		close(c.closed)
		err = c.conn.Close()
	})
	return err
}

// Healthy reports whether the server is serving. It asks once and fails if no server answers.
func (c *Client) Healthy(ctx context.Context) (bool, error) {
	return c.HealthyService(ctx, "")
}

// HealthyService is Healthy for one service by its full name, such as "runstore.v1.RunService". For
// a service that the server does not have it fails with an [*Error] with code NotFound.
func (c *Client) HealthyService(ctx context.Context, service string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	began := time.Now()
	health := grpc_health_v1.NewHealthClient(c.conn)
	answer, err := health.Check(c.outgoing(ctx), &grpc_health_v1.HealthCheckRequest{
		Service: service,
	})
	if err != nil {
		failure := c.errorOf(ctx, err)
		c.mayRetry(ctx, failure)
		return false, c.final(failure, began)
	}
	c.reach.reached()
	return answer.Status == grpc_health_v1.HealthCheckResponse_SERVING, nil
}

// errorOf is the error of a failed call: that the client is closed, if it has been closed since.
func (c *Client) errorOf(ctx context.Context, err error) error {
	var invalid *InvalidArgumentError
	switch {
	case c.isClosed():
		return closedError("client")
	case errors.As(err, &invalid):
		return err
	}
	return errorOf(ctx, err)
}

// streamErrorOf is the error of a stream that was received from.
func (c *Client) streamErrorOf(ctx context.Context, err error) error {
	return c.orBrokenStream(ctx, c.errorOf(ctx, err))
}

// requestsErrorOf is the error of a stream of requests, which are one body to a proxy.
func (c *Client) requestsErrorOf(ctx context.Context, err error) error {
	return c.orBrokenStream(ctx, orTooLarge(c.errorOf(ctx, err)))
}

// orBrokenStream is orBrokenPath for a stream. Our streams have no deadline, so one that passed was a
// proxy's.
func (c *Client) orBrokenStream(ctx context.Context, err error) error {
	if ctx.Err() != nil || c.isClosed() {
		return err
	}
	return orBrokenPath(err, codes.Internal, codes.Unknown, codes.DeadlineExceeded)
}

func (c *Client) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}
