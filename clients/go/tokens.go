package runstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

const (
	tokenVariable     = "RUNSTORE_TOKEN"
	tokenFileVariable = "RUNSTORE_TOKEN_FILE"
	insecureVariable  = "RUNSTORE_ALLOW_INSECURE_TOKEN"

	authorization = "authorization"
	maxToken      = 8192
	// How long a token file is not read again unless a call is refused.
	tokenAge = time.Minute
)

var tokenText = regexp.MustCompile(`^[\x21-\x7e]+$`)

// tokenSource is the token that calls carry. One of a file is read again each minute.
type tokenSource struct {
	read func() (string, error)

	mutex  sync.Mutex
	token  string
	readAt time.Time
	// problem is why the file cannot be used as it is now; what was read before stays in place.
	problem error
}

func newTokenSource(read func() (string, error)) (*tokenSource, error) {
	token, err := read()
	if err != nil {
		return nil, err
	}
	return &tokenSource{read: read, token: token, readAt: time.Now()}, nil
}

// current returns the token as it was within the last minute.
func (s *tokenSource) current() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if time.Since(s.readAt) >= tokenAge {
		s.lookLocked()
	}
	return s.token
}

// look reads the token now.
func (s *tokenSource) look() (token string, problem error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.lookLocked()
	return s.token, s.problem
}

func (s *tokenSource) lookLocked() {
	s.readAt = time.Now()
	token, err := s.read()
	if s.problem = err; err == nil {
		s.token = token
	}
}

// tokens is the source of the token, nil if calls carry none. What options give comes before the
// environment, an authorization in the metadata included.
func (o *options) tokens() (*tokenSource, error) {
	isInMetadata := false
	for i := 0; i < len(o.metadata); i += 2 {
		isInMetadata = isInMetadata || strings.EqualFold(o.metadata[i], authorization)
	}
	switch {
	case o.token != nil && o.tokenFile != nil:
		return nil, &InvalidArgumentError{"token", "must not be set together with a token file"}
	case isInMetadata && (o.token != nil || o.tokenFile != nil):
		return nil, &InvalidArgumentError{"token", "must not be set together with authorization in metadata"}
	case isInMetadata:
		return nil, nil
	case o.token != nil:
		return newTokenSource(fixedToken("token", *o.token))
	case o.tokenFile != nil:
		return newTokenSource(tokenOf("token file", *o.tokenFile))
	}
	token, path := os.Getenv(tokenVariable), os.Getenv(tokenFileVariable)
	switch {
	case token != "" && path != "":
		return nil, &InvalidArgumentError{tokenVariable, "must not be set together with " + tokenFileVariable}
	case token != "":
		return newTokenSource(fixedToken(tokenVariable, token))
	case path != "":
		return newTokenSource(tokenOf(tokenFileVariable, path))
	}
	return nil, nil
}

func fixedToken(field, token string) func() (string, error) {
	return func() (string, error) { return checkedToken(field, token) }
}

func tokenOf(field, path string) func() (string, error) {
	return func() (string, error) {
		content, err := readStart(path, maxToken+3) // one more than the longest line
		if err != nil {
			return "", &InvalidArgumentError{field, "cannot be read: " + err.Error()}
		}
		if strings.TrimRight(content, "\r\n") == "" {
			return "", &InvalidArgumentError{field, "has no token: " + path + " is empty"}
		}
		return checkedToken(field, content)
	}
}

// readStart reads a file, at most so many bytes of it.
func readStart(path string, most int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, most))
	return string(content), err
}

// checkedToken is the token without the end of its line; what it refuses it does not show.
func checkedToken(field, token string) (string, error) {
	token = strings.TrimRight(token, "\r\n")
	switch {
	case token == "":
		return "", &InvalidArgumentError{field, "must not be empty"}
	case len(token) > maxToken:
		return "", &InvalidArgumentError{field, fmt.Sprintf("must be a token of at most %d characters", maxToken)}
	case !tokenText.MatchString(token):
		return "", &InvalidArgumentError{
			field, "must be a token of printable ASCII without spaces, and no more than that",
		}
	}
	return token, nil
}

// isInsecureTokenAllowed reports what the environment says of tokens in plain text.
func isInsecureTokenAllowed() (bool, error) {
	switch said := strings.ToLower(os.Getenv(insecureVariable)); said {
	case "true", "1":
		return true, nil
	case "", "false", "0":
		return false, nil
	default:
		return false, &InvalidArgumentError{insecureVariable, fmt.Sprintf("must be true or false; is %q", said)}
	}
}

// checkPlaintext fails for a token that would cross the network in plain text.
func (o *options) checkPlaintext(target string) error {
	if o.isInsecureToken || isLoopback(target) {
		return nil
	}
	if isAllowed, err := isInsecureTokenAllowed(); isAllowed || err != nil {
		return err
	}
	return &InvalidArgumentError{"token", "is not sent in plain text: connect to " + secureScheme + target +
		", or allow it with WithInsecureToken or " + insecureVariable + "=true"}
}

type sentToken struct{}

// bearer gives gRPC the token that outgoing chose for the call. gRPC refuses to connect in plain text
// with one that needs security, whichever options say so.
type bearer struct{ needsSecurity bool }

func (bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, _ := ctx.Value(sentToken{}).(string)
	if token == "" {
		return nil, nil
	}
	return map[string]string{authorization: "Bearer " + token}, nil
}

func (b bearer) RequireTransportSecurity() bool { return b.needsSecurity }

// outgoing adds the client's metadata, and the token as it is now unless the caller's metadata has an
// authorization of its own.
func (c *Client) outgoing(ctx context.Context) context.Context {
	if c.tokens != nil {
		if given, _ := metadata.FromOutgoingContext(ctx); len(given.Get(authorization)) == 0 {
			ctx = context.WithValue(ctx, sentToken{}, c.tokens.current())
		}
	}
	return metadata.AppendToOutgoingContext(ctx, c.metadata...)
}

// judged is the error of a call that was made with the context that outgoing returned. If the caller was
// refused, the token is read again at once, and the error says whether it has been replaced since.
func (c *Client) judged(sent context.Context, err error) error {
	token, _ := sent.Value(sentToken{}).(string)
	var failed *Error
	if token == "" || !errors.As(err, &failed) {
		return err
	}
	if failed.Code != codes.Unauthenticated && failed.Code != codes.PermissionDenied {
		return err
	}
	now, problem := c.tokens.look()
	failed.isOfReplacedToken = now != token
	if problem != nil && !failed.isOfReplacedToken {
		failed.Message += " (" + problem.Error() + ")"
	}
	return err
}
