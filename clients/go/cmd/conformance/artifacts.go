package main

import (
	"archive/tar"
	"bytes"
	"context"
	"io"

	"github.com/runstore/runstore/clients/go"
)

func (a *arguments) artifactOptions() runstore.ArtifactOptions {
	return runstore.ArtifactOptions{
		Type: a.Type, ContentType: a.ContentType, Metadata: a.Metadata.Payload, Actor: a.Actor,
		Size: a.Size, SHA256: a.SHA256,
	}
}

func (a *arguments) artifactRef() runstore.ArtifactRef {
	return runstore.ArtifactRef{
		ArtifactID: a.ArtifactID, RunID: a.RunID, Name: a.Name, Version: int64(a.Version),
	}
}

func (r *runner) uploadArtifact(ctx context.Context, a *arguments) (any, error) {
	return r.client.Artifacts().Upload(
		ctx, a.RunID, a.Name, bytes.NewReader(a.Data.Bytes()), a.artifactOptions(),
	)
}

func (r *runner) linkArtifact(ctx context.Context, a *arguments) (any, error) {
	return r.client.Artifacts().Link(ctx, a.RunID, a.Name, a.URL, a.artifactOptions())
}

func (r *runner) getArtifact(ctx context.Context, a *arguments) (any, error) {
	return r.client.Artifacts().Get(ctx, a.artifactRef())
}

func (r *runner) downloadArtifact(ctx context.Context, a *arguments) (any, error) {
	download, err := r.client.Artifacts().Download(ctx, a.artifactRef(), runstore.DownloadOptions{
		Offset: a.Offset, Length: a.Length,
	})
	if err != nil {
		return nil, err
	}
	defer download.Close()
	data, err := io.ReadAll(download)
	return fields{"data": runstore.Binary(data, "")}, err
}

func (r *runner) listArtifacts(ctx context.Context, a *arguments) (any, error) {
	return listed("artifacts", r.client.Artifacts().List(ctx, runstore.ListArtifactsOptions{
		RunID: a.RunID, Type: a.Type, Name: a.Name,
	}))
}

func (r *runner) export(ctx context.Context, a *arguments) (any, error) {
	var archive bytes.Buffer
	if _, err := r.run(a).Export(ctx, &archive); err != nil {
		return nil, err
	}
	names := []string{}
	for files := tar.NewReader(&archive); ; {
		file, err := files.Next()
		if err == io.EOF {
			return fields{"files": names}, nil
		}
		if err != nil {
			return nil, err
		}
		names = append(names, file.Name)
	}
}
