package runstore_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

func TestTheQuickStartDoesWhatItSays(t *testing.T) {
	equal(t, "said", runProgram(t, blocks(t, "README.md")[0]), strings.Join([]string{
		"left to do: [write]",
		"the run belongs to epoch 2",
		"1 tool.called",
		"2 run.resumed",
		"3 run.completed",
		"",
	}, "\n"))
}

func TestTheGuidesExamplesRun(t *testing.T) {
	frame := `package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/runstore/runstore/clients/go"
)

var _, _ = errors.As, time.Second

func main() {
	if err := work(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("worked")
}

func work(ctx context.Context) error {
	SNIPPETS
	return nil
}
`
	var snippets strings.Builder
	for _, block := range blocks(t, "../../docs/go.md") {
		snippets.WriteString(block)
	}

	said := runProgram(t, strings.Replace(frame, "SNIPPETS", snippets.String(), 1))

	equal(t, "last line", strings.HasSuffix(said, "worked\n"), true)
}

// blocks are the Go examples of a document.
func blocks(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	require(t, err)
	var all []string
	for _, found := range goBlock.FindAllStringSubmatch(string(text), -1) {
		all = append(all, found[1])
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
