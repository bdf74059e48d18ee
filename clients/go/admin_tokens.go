package runstore

import (
	"context"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Token is a token without its secret.
type Token struct {
	TokenID string
	// Prefix is how the token's text begins.
	Prefix    string
	Name      string
	Grants    []Grant
	CreatedBy Principal
	CreatedAt time.Time
	ExpiresAt time.Time
	// RevokedAt is zero if the token was not revoked.
	RevokedAt time.Time
	// LastUsedAt is exact to about a minute; zero if the token was never used.
	LastUsedAt time.Time
}

// NewToken is a token that was made, with its text.
type NewToken struct {
	Token *Token
	// Secret is the text, to be sent as a bearer token. It is returned this once and not printed.
	Secret string
}

// String leaves the secret out.
func (v NewToken) String() string { return "NewToken{Token: " + v.Token.String() + "}" }

// GoString leaves the secret out.
func (v NewToken) GoString() string { return v.String() }

// CreateTokenOptions are the optional properties of a new token.
type CreateTokenOptions struct {
	// Lifetime is how long it is valid, at most 400 days; 0 means 90 days.
	Lifetime time.Duration
	// OfServer makes it a token of the server itself.
	OfServer bool
	// RequestID identifies a retry; if empty, the client generates one.
	RequestID string
}

// ListTokensOptions say whose tokens to list.
type ListTokensOptions struct {
	// OfServer lists those of the server itself.
	OfServer bool
}

// RevokeTokenOptions say how a token is revoked.
type RevokeTokenOptions struct {
	// OfServer names a token of the server itself.
	OfServer bool
	// RequestID identifies a retry; if empty, the client generates one.
	RequestID string
}

// CreateToken makes a token. It fails with [*TokenSecretLostError] if the token was made and the
// answer with its secret did not arrive.
func (a *Admin) CreateToken(
	ctx context.Context, name string, grants []Grant, options CreateTokenOptions,
) (*NewToken, error) {
	if options.RequestID == "" {
		options.RequestID = newID()
	}
	request := &runstorev1.CreateTokenRequest{
		Project:   a.owner(options.OfServer),
		OfServer:  options.OfServer,
		Name:      name,
		Grants:    mapped(grants, grantMessage),
		RequestId: options.RequestID,
	}
	if options.Lifetime != 0 {
		request.Lifetime = durationpb.New(options.Lifetime)
	}
	response, err := send(ctx, a.client, a.service.CreateToken, request)
	if err != nil {
		return nil, err
	}
	token := tokenOfMessage(response.Token)
	if response.Secret == "" {
		return nil, secretLost(token.TokenID)
	}
	return &NewToken{Token: token, Secret: response.Secret}, nil
}

// Tokens yields tokens, newest first, those that have ended among them. If it fails, the last pair
// holds the error.
func (a *Admin) Tokens(ctx context.Context, options ListTokensOptions) iter.Seq2[*Token, error] {
	return pages(func(token string) ([]*Token, string, error) {
		response, err := send(ctx, a.client, a.service.ListTokens, &runstorev1.ListTokensRequest{
			Project:   a.owner(options.OfServer),
			OfServer:  options.OfServer,
			PageSize:  adminPage,
			PageToken: token,
		})
		return mapped(response.GetTokens(), tokenOfMessage), response.GetNextPageToken(), err
	})
}

// RevokeToken ends a token for good, or returns one that has been revoked before. It is refused
// everywhere within five seconds.
func (a *Admin) RevokeToken(
	ctx context.Context, tokenID string, options RevokeTokenOptions,
) (*Token, error) {
	if options.RequestID == "" {
		options.RequestID = newID()
	}
	response, err := send(ctx, a.client, a.service.RevokeToken, &runstorev1.RevokeTokenRequest{
		Project:   a.owner(options.OfServer),
		OfServer:  options.OfServer,
		TokenId:   tokenID,
		RequestId: options.RequestID,
	})
	if err != nil {
		return nil, err
	}
	return tokenOfMessage(response.Token), nil
}

// secretLost is the error of a token whose secret did not arrive.
func secretLost(tokenID string) error {
	return &TokenSecretLostError{&Error{
		Code:     codes.DataLoss,
		Message:  "token " + tokenID + " was made, but its secret did not arrive: revoke the token",
		Metadata: map[string]string{"token_id": tokenID},
	}}
}

func tokenOfMessage(message *runstorev1.Token) *Token {
	return &Token{
		TokenID:    message.GetTokenId(),
		Prefix:     message.GetPrefix(),
		Name:       message.GetName(),
		Grants:     mapped(message.GetGrants(), grantOf),
		CreatedBy:  principalOf(message.GetCreatedBy()),
		CreatedAt:  timeOf(message.GetCreatedAt()),
		ExpiresAt:  timeOf(message.GetExpiresAt()),
		RevokedAt:  timeOf(message.GetRevokedAt()),
		LastUsedAt: timeOf(message.GetLastUsedAt()),
	}
}
