package runstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

const configPage = 100

// Configs are a project's versions of prompts, tools, agents and evaluators, and their labels.
type Configs struct {
	client  *Client
	service runstorev1.ConfigServiceClient
}

// RegisterOptions are the optional properties of a version.
type RegisterOptions struct {
	// Description is for people.
	Description string
	// Metadata is a JSON object.
	Metadata Payload
	// Labels are moved to the version in the same transaction.
	Labels []string
	// Actor is who registers it and moves the labels.
	Actor string
	// RequestID identifies a retry, so that it does not move labels back; if empty, the client
	// generates one.
	RequestID string
}

// RegisteredVersion says which version a body has.
type RegisteredVersion struct {
	Version   int64
	Digest    string
	CreatedAt time.Time
	// Deduplicated means that the body had been registered before.
	Deduplicated bool
}

// ConfigVersion is one version, which never changes, and the labels that point to it now.
type ConfigVersion struct {
	Kind    string
	Name    string
	Version int64
	// Digest is that of the body; see [ConfigDigest].
	Digest string
	// Body is not returned by lists.
	Body        Payload
	BodyBytes   int64
	Description string
	Metadata    Payload
	Labels      []string
	Actor       string
	CreatedAt   time.Time
}

// ConfigLabel is a name for a version that can be moved to another.
type ConfigLabel struct {
	Label   string
	Version int64
	// Actor is who moved it there.
	Actor   string
	MovedAt time.Time
}

// Config is a named series of versions.
type Config struct {
	Kind string
	Name string
	// Latest is the version with the greatest number, without its body.
	Latest    *ConfigVersion
	Labels    []ConfigLabel
	CreatedAt time.Time
}

// ListConfigsOptions say which configs to list.
type ListConfigsOptions struct {
	// Kind empty means every kind.
	Kind string
	// NamePrefix selects names that begin with it.
	NamePrefix string
	// PageSize is how many configs are fetched at once; 0 means 100.
	PageSize int
}

// VersionSelector selects a version; the zero value selects the latest.
type VersionSelector struct {
	choose func(*runstorev1.GetVersionRequest)
}

// LatestVersion selects the one with the greatest number.
func LatestVersion() VersionSelector { return VersionSelector{} }

// VersionByNumber selects the one with the number.
func VersionByNumber(version int64) VersionSelector {
	return VersionSelector{func(request *runstorev1.GetVersionRequest) {
		request.Selector = &runstorev1.GetVersionRequest_Version{Version: version}
	}}
}

// VersionByDigest selects the one with the digest.
func VersionByDigest(digest string) VersionSelector {
	return VersionSelector{func(request *runstorev1.GetVersionRequest) {
		request.Selector = &runstorev1.GetVersionRequest_Digest{Digest: digest}
	}}
}

// VersionByLabel selects the one that the label points to now.
func VersionByLabel(label string) VersionSelector {
	return VersionSelector{func(request *runstorev1.GetVersionRequest) {
		request.Selector = &runstorev1.GetVersionRequest_Label{Label: label}
	}}
}

// Configs returns the project's configs.
func (c *Client) Configs() *Configs {
	return &Configs{client: c, service: runstorev1.NewConfigServiceClient(c.conn)}
}

// Register stores a body as the next version of kind and name. A body registered before keeps its
// version. The labels are moved to the version.
func (c *Configs) Register(
	ctx context.Context, kind, name string, body Payload, options RegisterOptions,
) (*RegisteredVersion, error) {
	if options.RequestID == "" {
		options.RequestID = newID()
	}
	var e encoder
	request := &runstorev1.RegisterVersionRequest{
		Project:     c.client.project,
		Kind:        kind,
		Name:        name,
		Body:        e.part(body),
		Description: options.Description,
		Metadata:    e.payload(options.Metadata),
		Labels:      options.Labels,
		Actor:       options.Actor,
		RequestId:   options.RequestID,
	}
	if e.err != nil {
		return nil, e.err
	}
	response, err := send(ctx, c.client, c.service.RegisterVersion, request)
	if err != nil {
		return nil, err
	}
	return &RegisteredVersion{
		Version:      response.Version,
		Digest:       response.Digest,
		CreatedAt:    timeOf(response.CreatedAt),
		Deduplicated: response.Deduplicated,
	}, nil
}

// Get returns a version with its body.
func (c *Configs) Get(
	ctx context.Context, kind, name string, which VersionSelector,
) (*ConfigVersion, error) {
	request := &runstorev1.GetVersionRequest{Project: c.client.project, Kind: kind, Name: name}
	if which.choose != nil {
		which.choose(request)
	}
	response, err := send(ctx, c.client, c.service.GetVersion, request)
	if err != nil {
		return nil, err
	}
	return configVersionOf(response.Version), nil
}

// Versions yields the versions of a config without bodies, newest first. If it fails, the last pair
// holds the error.
func (c *Configs) Versions(ctx context.Context, kind, name string) iter.Seq2[*ConfigVersion, error] {
	return pages(func(token string) ([]*ConfigVersion, string, error) {
		response, err := send(ctx, c.client, c.service.ListVersions, &runstorev1.ListVersionsRequest{
			Project: c.client.project, Kind: kind, Name: name, PageSize: configPage, PageToken: token,
		})
		return mapped(response.GetVersions(), configVersionOf), response.GetNextPageToken(), err
	})
}

// List yields the project's configs by kind and name. If it fails, the last pair holds the error.
func (c *Configs) List(ctx context.Context, options ListConfigsOptions) iter.Seq2[*Config, error] {
	if options.PageSize == 0 {
		options.PageSize = configPage
	}
	return pages(func(token string) ([]*Config, string, error) {
		response, err := send(ctx, c.client, c.service.ListConfigs, &runstorev1.ListConfigsRequest{
			Project:    c.client.project,
			Kind:       options.Kind,
			NamePrefix: options.NamePrefix,
			PageSize:   int32Of(options.PageSize),
			PageToken:  token,
		})
		return mapped(response.GetConfigs(), configOf), response.GetNextPageToken(), err
	})
}

// ConfigDigest returns the digest of a version with this body, to check a pin without a server. It
// fails for a payload that cannot be a body: none, a [Ref], or one that could not be encoded.
func ConfigDigest(body Payload) (string, error) {
	if body.err != nil {
		return "", body.err
	}
	kind := map[payloadKind]string{jsonPayload: "json", binaryPayload: "binary"}[body.kind]
	if kind == "" {
		return "", errorf("the body of a config must be a JSON text or bytes")
	}
	whole := sha256.New()
	for _, field := range []string{"config", kind, body.contentType, body.content} {
		whole.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
		whole.Write([]byte(field))
	}
	return "sha256:" + hex.EncodeToString(whole.Sum(nil)), nil
}

func configVersionOf(message *runstorev1.ConfigVersion) *ConfigVersion {
	return &ConfigVersion{
		Kind:        message.GetKind(),
		Name:        message.GetName(),
		Version:     message.GetVersion(),
		Digest:      message.GetDigest(),
		Body:        payloadOf(message.GetBody()),
		BodyBytes:   message.GetBodyBytes(),
		Description: message.GetDescription(),
		Metadata:    payloadOf(message.GetMetadata()),
		Labels:      message.GetLabels(),
		Actor:       message.GetActor(),
		CreatedAt:   timeOf(message.GetCreatedAt()),
	}
}

func configOf(message *runstorev1.Config) *Config {
	return &Config{
		Kind:   message.Kind,
		Name:   message.Name,
		Latest: configVersionOf(message.Latest),
		Labels: mapped(message.Labels, func(each *runstorev1.ConfigLabel) ConfigLabel {
			return ConfigLabel{each.Label, each.Version, each.Actor, timeOf(each.MovedAt)}
		}),
		CreatedAt: timeOf(message.CreatedAt),
	}
}
