// Command verify-archive verifies the archive of a run: a tar file that ExportRun made, or a folder with
// the same files.
//
//	verify-archive ARCHIVE
//
// It exits with 0 if everything agrees, with 1 if something does not, each problem in a sentence. It
// shares no code with the Go client, with verify_archive.py or with servers: it is written from
// docs/export.md and docs/chain.md.
package main

import (
	"fmt"
	"os"
)

const (
	exitUntrue = 1
	exitUsage  = 2
	exitFailed = 4

	notSigned = "The archive is not signed: it proves as much as the last hash, kept elsewhere, does."
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verify-archive ARCHIVE")
		os.Exit(exitUsage)
	}
	problems, facts, err := verify(os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s cannot be read: %v\n", os.Args[1], err)
		os.Exit(exitFailed)
	}
	for _, problem := range problems {
		fmt.Println(problem)
	}
	if len(problems) > 0 {
		os.Exit(exitUntrue)
	}
	fmt.Println(facts)
	fmt.Println(notSigned)
}
