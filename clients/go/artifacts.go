package runstore

import (
	"context"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

const artifactPage = 100

// Artifacts are named results of a project's runs that are too large or too opaque for a payload.
type Artifacts struct {
	client  *Client
	service runstorev1.ArtifactServiceClient
}

// Artifact is a version of a named result.
type Artifact struct {
	ArtifactID string
	Project    string
	RunID      string
	Name       string
	// Version is 1, 2, 3 ... for each name of a run.
	Version int64
	// Type is what readers take it for, such as "report".
	Type        string
	ContentType string
	// Size is the number of its bytes; nil if a link was made without it.
	Size *int64
	// SHA256 is the digest of its bytes; empty if a link was made without it.
	SHA256 []byte
	// URL is where the bytes of a link are; empty if the store has them.
	URL      string
	Metadata Payload
	// Actor is who wrote it.
	Actor     string
	CreatedAt time.Time
}

// ArtifactPut is an artifact that was uploaded or linked.
type ArtifactPut struct {
	Artifact *Artifact
	// Deduplicated means that this already was the newest version of the name.
	Deduplicated bool
}

// ArtifactOptions are the optional properties of an artifact.
type ArtifactOptions struct {
	Type        string
	ContentType string
	// Metadata is a JSON object.
	Metadata Payload
	Actor    string
	// Size and SHA256 are those of the bytes, if known; an upload of other bytes fails with
	// [*ContentMismatchError].
	Size   *int64
	SHA256 []byte
}

// ArtifactRef names an artifact by its id, or by run, name and version; version 0 is the newest.
type ArtifactRef struct {
	ArtifactID string
	RunID      string
	Name       string
	Version    int64
}

// ListArtifactsOptions say which artifacts to list; an artifact must meet all conditions.
type ListArtifactsOptions struct {
	// RunID empty means all runs.
	RunID string
	Type  string
	// Name selects all versions of it.
	Name string
	// PageSize is how many artifacts are fetched at once; 0 means 100.
	PageSize int
}

// Artifacts returns the project's artifacts.
func (c *Client) Artifacts() *Artifacts {
	return &Artifacts{client: c, service: runstorev1.NewArtifactServiceClient(c.conn)}
}

// Link records the URL of bytes that are stored elsewhere as the next version of a name.
func (a *Artifacts) Link(
	ctx context.Context, runID, name, url string, options ArtifactOptions,
) (*ArtifactPut, error) {
	var e encoder
	request := &runstorev1.LinkArtifactRequest{
		Project:     a.client.project,
		RunId:       runID,
		Name:        name,
		Url:         url,
		Type:        options.Type,
		ContentType: options.ContentType,
		Sha256:      options.SHA256,
		Size:        options.Size,
		Metadata:    e.payload(options.Metadata),
		Actor:       options.Actor,
	}
	if e.err != nil {
		return nil, e.err
	}
	response, err := send(ctx, a.client, a.service.LinkArtifact, request)
	if err != nil {
		return nil, err
	}
	return &ArtifactPut{artifactOf(response.Artifact), response.Deduplicated}, nil
}

// Get returns one artifact, without its bytes.
func (a *Artifacts) Get(ctx context.Context, which ArtifactRef) (*Artifact, error) {
	response, err := send(ctx, a.client, a.service.GetArtifact, &runstorev1.GetArtifactRequest{
		Project:    a.client.project,
		ArtifactId: which.ArtifactID,
		RunId:      which.RunID,
		Name:       which.Name,
		Version:    which.Version,
	})
	if err != nil {
		return nil, err
	}
	return artifactOf(response.Artifact), nil
}

// List yields the artifacts of a run, or of the whole project, newest first. If it fails, the last
// pair holds the error.
func (a *Artifacts) List(
	ctx context.Context, options ListArtifactsOptions,
) iter.Seq2[*Artifact, error] {
	if options.PageSize == 0 {
		options.PageSize = artifactPage
	}
	return pages(func(token string) ([]*Artifact, string, error) {
		response, err := send(ctx, a.client, a.service.ListArtifacts,
			&runstorev1.ListArtifactsRequest{
				Project:   a.client.project,
				RunId:     options.RunID,
				Type:      options.Type,
				Name:      options.Name,
				PageSize:  int32Of(options.PageSize),
				PageToken: token,
			})
		return mapped(response.GetArtifacts(), artifactOf), response.GetNextPageToken(), err
	})
}

func artifactOf(message *runstorev1.Artifact) *Artifact {
	artifact := &Artifact{
		ArtifactID:  message.GetArtifactId(),
		Project:     message.GetProject(),
		RunID:       message.GetRunId(),
		Name:        message.GetName(),
		Version:     message.GetVersion(),
		Type:        message.GetType(),
		ContentType: message.GetContentType(),
		SHA256:      message.GetSha256(),
		URL:         message.GetUrl(),
		Metadata:    payloadOf(message.GetMetadata()),
		Actor:       message.GetActor(),
		CreatedAt:   timeOf(message.GetCreatedAt()),
	}
	if message != nil {
		artifact.Size = message.Size
	}
	return artifact
}
