package runstore_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
)

const guide = "../../docs/go.md"

func TestTheQuickStartDoesWhatItSays(t *testing.T) {
	examples := blocks(t, "README.md")

	equal(t, "examples", len(examples), 1) // a second one would not be run
	equal(t, "said", runProgram(t, examples[0]), strings.Join([]string{
		"left to do: [write]",
		"the run belongs to epoch 2",
		"1 tool.called",
		"2 run.resumed",
		"3 run.completed",
		"",
	}, "\n"))
}

// TestTheGuidesExamplesDoWhatTheySay runs all of them as one function, and compares all they print.
func TestTheGuidesExamplesDoWhatTheySay(t *testing.T) {
	frame := `package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/runstore/runstore/clients/go"
)

func main() {
	if err := work(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func work(ctx context.Context) error {
	SNIPPETS
	return nil
}
`
	snippets := strings.Join(blocks(t, guide), "")
	program := strings.Replace(frame, "SNIPPETS", snippets, 1)
	// A project of its own: the feed begins with this function's run.
	program = strings.Replace(program, `"acme/search"`, strconv.Quote("test/"+uuid.NewString()), 1)

	said := runProgram(t, program)

	said = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllString(said, "ID")
	said = regexp.MustCompile(`(?m)^\d+ ID `).ReplaceAllString(said, "POSITION ID ")
	equal(t, "said", said, strings.TrimLeft(`
last seq: 2
done since: outline
since the snapshot: run.resumed
{"answer": 42.0}
1 tool.called
2 model.called
3 token
4 token
5 token
6 step.done
7 run.resumed
8 decided
9 run.completed
the chain is whole: true
ID SUCCEEDED
before the crash: tool.called
before the crash: model.called
the fork goes on at seq 3
snapshots deleted: 1
the run stays with version 1
new runs get: "Be brief."
version 1: 9 bytes, SHA-256 5cc47001...
forty-two
corpus 1 https://example.org/corpus.parquet
report.txt 1 
POSITION ID tool.called
POSITION ID model.called
POSITION ID token
POSITION ID token
POSITION ID token
POSITION ID step.done
POSITION ID run.resumed
POSITION ID decided
POSITION ID run.completed
ID 1 capital of [[Assyria]]
"": 8 events, 0 tokens
"gpt-4.1": 1 events, 812 tokens
dashboard reader@acme/*
2 RevokeToken OK
1 CreateToken OK
nobody changed the records: true
experiments 720h0m0s
`, "\n"))
}

// blocks are the Go examples of a document; a block of another language than those it is known to
// have fails, for an example spelled otherwise would not be run.
func blocks(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	require(t, err)
	var all []string
	var language string
	var block strings.Builder
	isOpen := false
	for line := range strings.Lines(string(text)) {
		trimmed := strings.TrimSpace(line)
		isFence := strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~")
		switch {
		case isFence && !isOpen:
			isOpen, language = true, strings.TrimSuffix(line, "\n")
			block.Reset()
			if language != "```go" && language != "```sh" {
				t.Fatalf("%s: %q begins a block that no test runs", path, language)
			}
		case isFence:
			isOpen = false
			if language == "```go" {
				all = append(all, block.String())
			}
		case isOpen:
			block.WriteString(line)
		case strings.HasPrefix(line, "\t"), strings.HasPrefix(line, "    "):
			t.Fatalf("%s: %q is an example that no test runs", path, line)
		}
	}
	return all
}

// runProgram runs a program of a document against the shared server.
func runProgram(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "main.go")
	program = strings.ReplaceAll(program, "localhost:7411", sharedTarget)
	require(t, os.WriteFile(path, []byte(program), 0o600))
	said, err := exec.Command("go", "run", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return string(said)
}
