package runstore_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/runstore/runstore/clients/go"
)

func TestAnExportIsATarFileThatEndsWithItsManifest(t *testing.T) {
	client := dial(t)
	run := withTicks(t, client, 3)
	content := noise(mib)
	uploaded(t, run, client, "a", content)
	var archive bytes.Buffer

	written, err := run.Export(t.Context(), &archive)
	require(t, err)

	equal(t, "written", written, int64(archive.Len()))
	last, hasContent := "", false
	for files := tar.NewReader(&archive); ; {
		file, err := files.Next()
		if err == io.EOF {
			break
		}
		require(t, err)
		found, err := io.ReadAll(files)
		require(t, err)
		last, hasContent = file.Name, hasContent || bytes.Equal(found, content)
	}
	equal(t, "last", last, "manifest.json")
	equal(t, "has the artifact's bytes", hasContent, true)
}

func TestAnExportEndsWithItsWriter(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)

	written, err := run.Export(t.Context(), &fullAfter{&bytes.Buffer{}, 10})

	equal(t, "full", errors.Is(err, errFull), true)
	equal(t, "written", written, 10)
}

func TestAnExportOfAnUnknownRunWritesNothing(t *testing.T) {
	var archive bytes.Buffer

	_, err := dial(t).Run("unknown").Export(t.Context(), &archive)

	var unknown *runstore.RunNotFoundError
	equal(t, "not found", errors.As(err, &unknown), true)
	equal(t, "size", archive.Len(), 0)
}
