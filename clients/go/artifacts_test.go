package runstore_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
)

// noise is so many bytes that no compression makes less.
func noise(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(data)
	return data
}

// uploaded is an artifact of these bytes.
func uploaded(t *testing.T, run *runstore.Run, client *runstore.Client, name string, data []byte) *runstore.Artifact {
	t.Helper()
	put, err := client.Artifacts().Upload(
		t.Context(), run.ID(), name, bytes.NewReader(data), runstore.ArtifactOptions{},
	)
	require(t, err)
	return put.Artifact
}

func TestAnArtifactComesBackWithAllItsFields(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	data := noise(1000)
	digest := sha256.Sum256(data)

	put, err := client.Artifacts().Upload(t.Context(), run.ID(), "a/b.bin", bytes.NewReader(data),
		runstore.ArtifactOptions{
			Type: "blob", ContentType: "x/y", Metadata: runstore.JSON(`{"k": 1.0}`), Actor: "ann",
		})
	require(t, err)

	got, err := client.Artifacts().Get(t.Context(), runstore.ArtifactRef{RunID: run.ID(), Name: "a/b.bin"})
	require(t, err)
	equal(t, "size", *got.Size, 1000)
	equal(t, "same", got.ArtifactID, put.Artifact.ArtifactID)
	equal(t, "digest", [32]byte(got.SHA256), digest)
	equal(t, "created", time.Since(got.CreatedAt) < time.Hour, true)
	equal(t, "metadata", got.Metadata, runstore.JSON(`{"k": 1.0}`))
	equal(t, "rest", fmt.Sprint(
		got.Project == client.Project(), got.RunID == run.ID(), got.Name, got.Version, got.Type,
		got.ContentType, got.URL, got.Actor, put.Deduplicated,
	), fmt.Sprint(true, true, "a/b.bin", 1, "blob", "x/y", "", "ann", false))
}

func TestArtifactsAreListedOverPages(t *testing.T) {
	client := dial(t)
	run, other := savedRun(t, client), savedRun(t, client)
	for number := range 3 {
		uploaded(t, run, client, "same", noise(number))
	}
	uploaded(t, other, client, "other", noise(3))
	_, err := client.Artifacts().Link(t.Context(), run.ID(), "corpus", "https://example.org/c",
		runstore.ArtifactOptions{Type: "dataset"})
	require(t, err)

	for name, each := range map[string]struct {
		options runstore.ListArtifactsOptions
		want    string
	}{
		"all":  {runstore.ListArtifactsOptions{PageSize: 2}, "corpus 1, other 1, same 3, same 2, same 1, "},
		"run":  {runstore.ListArtifactsOptions{RunID: run.ID()}, "corpus 1, same 3, same 2, same 1, "},
		"name": {runstore.ListArtifactsOptions{Name: "other"}, "other 1, "},
		"type": {runstore.ListArtifactsOptions{Type: "dataset"}, "corpus 1, "},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			for _, artifact := range collect(t, client.Artifacts().List(t.Context(), each.options)) {
				got += fmt.Sprintf("%s %d, ", artifact.Name, artifact.Version)
			}

			equal(t, "artifacts", got, each.want)
		})
	}
	_, err = next(client.Artifacts().List(t.Context(), runstore.ListArtifactsOptions{RunID: "nobody"}))
	var missing *runstore.RunNotFoundError
	if !errors.As(err, &missing) {
		t.Fatalf("got %v", err)
	}
}

func TestALinkIsRecordedAndNeverFollowed(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	digest := sha256.Sum256(nil)
	link := func(options runstore.ArtifactOptions) *runstore.ArtifactPut {
		put, err := client.Artifacts().Link(
			t.Context(), run.ID(), "corpus", "https://example.org/corpus", options,
		)
		require(t, err)
		return put
	}

	bare := link(runstore.ArtifactOptions{})
	again := link(runstore.ArtifactOptions{})
	known := link(runstore.ArtifactOptions{Size: new(int64), SHA256: digest[:]})

	equal(t, "unknown size", bare.Artifact.Size, nil)
	equal(t, "unknown digest", len(bare.Artifact.SHA256), 0)
	equal(t, "again", again.Deduplicated, true)
	equal(t, "version", known.Artifact.Version, 2)
	equal(t, "size", *known.Artifact.Size, 0)
	equal(t, "url", known.Artifact.URL, "https://example.org/corpus")
	_, err := client.Artifacts().Download(
		t.Context(), runstore.ArtifactRef{ArtifactID: bare.Artifact.ArtifactID}, runstore.DownloadOptions{},
	)
	var isLink *runstore.ArtifactIsLinkError
	if !errors.As(err, &isLink) || isLink.URL() != "https://example.org/corpus" {
		t.Fatalf("got %v", err)
	}
}

func TestMetadataThatCannotBeMadeIsNotSent(t *testing.T) {
	client := dialTo(t, "127.0.0.1:1")
	bad := runstore.ArtifactOptions{Metadata: runstore.JSONOf(make(chan int))}

	_, linked := client.Artifacts().Link(t.Context(), "run", "a", "https://example.org", bad)
	_, uploaded := client.Artifacts().Upload(t.Context(), "run", "a", bytes.NewReader(nil), bad)

	for _, err := range []error{linked, uploaded} {
		if !errors.Is(err, bad.Metadata.Err()) {
			t.Fatalf("got %v", err)
		}
	}
}
