package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sort"
	"strings"
)

const (
	manifestName = "manifest.json"
	mostProblems = 100
)

var rowFiles = []string{
	"snapshots", "task_writes", "outputs", "artifacts", "configs", "requests",
}

// verifying is one check of an archive.
type verifying struct {
	files    *archive
	manifest row
	head     row
	problems []string
	// rows has of each file how many rows the manifest says it has; -1 for other files.
	rows map[string]int64
	pins map[string]bool
	// ended is what the terminal event says; nil without one.
	ended row
	// erased is how many events were erased.
	erased int
}

// verify checks an archive; err is set only if it cannot be read.
func verify(path string) (problems []string, facts string, err error) {
	files, err := openArchive(path)
	if err != nil {
		return nil, "", err
	}
	if files.tar != nil {
		defer files.tar.Close()
	}
	if len(files.problems) > 0 {
		return files.problems, "", nil
	}
	v := &verifying{files: files, rows: map[string]int64{}, pins: map[string]bool{}}
	if !v.holds("manifest.json", v.readManifest) || !v.holds("the list of files", v.checkFiles) {
		return v.problems, "", nil
	}
	v.holds("the chain", v.checkChain)
	v.holds("snapshots.jsonl.gz", v.checkSnapshots)
	v.holds("task_writes.jsonl.gz", v.checkTaskWrites)
	v.holds("outputs.jsonl.gz", v.checkOutputs)
	v.holds("artifacts.jsonl.gz", v.checkArtifacts)
	v.holds("configs.jsonl.gz", v.checkConfigs)
	v.holds("requests.jsonl.gz", v.checkRequests)
	v.holds("the manifest", func() error {
		erased := ""
		if v.erased > 0 {
			erased = fmt.Sprintf(", %d of them erased,", v.erased)
		}
		facts = fmt.Sprintf(
			"run %q of project %q: %d events%s in %d files; the last hash is\n%s",
			v.manifest.text("run_id"), v.manifest.text("project"), v.head.number("last_seq"),
			erased, len(v.rows)+1, v.head.text("last_hash"),
		)
		return nil
	})
	return v.problems, facts, nil
}

// holds runs a check and notes what it finds; whether it found nothing.
func (v *verifying) holds(what string, check func() error) (found bool) {
	before := len(v.problems)
	defer func() {
		if failure := recover(); failure != nil {
			why, isMalformed := failure.(malformed)
			if !isMalformed {
				panic(failure)
			}
			v.problems = append(v.problems, fmt.Sprintf("%s is not as the format says: %s", what, why))
		}
		found = len(v.problems) == before
	}()
	if err := check(); err != nil {
		v.problems = append(v.problems, err.Error())
	}
	return
}

func (v *verifying) problem(format string, of ...any) {
	if len(v.problems) < mostProblems {
		v.problems = append(v.problems, fmt.Sprintf(format, of...))
	}
}

func (v *verifying) read(name string) ([]byte, error) {
	file, err := v.files.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

// readManifest reads the manifest, whose last member is the SHA-256 of what is before it.
func (v *verifying) readManifest() error {
	if _, isThere := v.files.found[manifestName]; !isThere {
		return broken("manifest.json is missing")
	}
	text, err := v.read(manifestName)
	if err != nil {
		return err
	}
	mark := []byte(",\n \"sha256\": \"")
	at := bytes.LastIndex(text, mark)
	if at < 0 {
		return broken("manifest.json does not end with a SHA-256")
	}
	hash := sha256.Sum256(text[:at])
	if string(text[at+len(mark):]) != hex.EncodeToString(hash[:])+"\"\n}\n" {
		return broken("manifest.json does not match the SHA-256 at its end")
	}
	v.manifest = strict(text, true)
	if v.manifest.text("format") != "runstore.archive" || v.manifest.number("version") != 1 {
		return broken("manifest.json is of another format, or of a later version of it")
	}
	v.manifest.of(manifestKind)
	v.head = v.manifest.object("head")
	if len(v.manifest.objects("lineage")) == 0 {
		return broken("manifest.json names no run")
	}
	return nil
}

// checkFiles checks that the files are the ones of the manifest, byte for byte.
func (v *verifying) checkFiles() error {
	entries := map[string]row{}
	numbers := map[string]int{}
	for _, entry := range v.manifest.objects("files") {
		name := entry.text("name")
		if entries[name] != nil || name == manifestName || !fileName.MatchString(name) {
			v.problem("the manifest must not name %q", name)
		}
		entries[name] = entry
		kind, _, isNumbered := strings.Cut(name, "-")
		if isNumbered {
			numbers[kind]++
		}
		hasRows := !strings.Contains(name, "/")
		if entry.isNull("rows") == hasRows {
			v.problem("the manifest does not say of %s what it should of its rows", name)
		}
		v.rows[name] = -1
		if !entry.isNull("rows") {
			v.rows[name] = entry.number("rows")
		}
	}
	for name := range v.files.found {
		if entries[name] == nil && name != manifestName {
			v.problem("%s is not in the manifest", name)
		}
	}
	for kind, count := range numbers {
		for number := 1; number <= count; number++ {
			if entries[fmt.Sprintf("%s-%06d.jsonl.gz", kind, number)] == nil {
				v.problem("the %s files are not numbered from 1 on without gaps", kind)
			}
		}
	}
	for _, noun := range rowFiles {
		if entries[noun+".jsonl.gz"] == nil {
			v.problem("the manifest does not name %s.jsonl.gz", noun)
		}
	}
	for name, entry := range entries {
		if _, isThere := v.files.found[name]; !isThere {
			v.problem("%s is missing", name)
		} else if err := v.checkFile(name, entry); err != nil {
			return err
		}
	}
	sort.Strings(v.problems)
	return nil
}

func (v *verifying) checkFile(name string, entry row) error {
	if v.files.found[name].size != entry.number("bytes") {
		v.problem("%s is not as long as the manifest says", name)
		return nil
	}
	file, err := v.files.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return err
	}
	found := hex.EncodeToString(hash.Sum(nil))
	if found != entry.text("sha256") {
		v.problem("%s does not have the SHA-256 that the manifest says", name)
	} else if strings.HasPrefix(name, "objects/") && name != "objects/"+found {
		v.problem("%s does not have the SHA-256 that it is named after", name)
	} else if strings.HasPrefix(name, "parts/") {
		return v.checkPart(name)
	}
	return nil
}

func (v *verifying) checkPart(name string) error {
	file, err := v.files.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	unzip, end, err := unzipped(file, name)
	if err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, unzip); err != nil {
		return breaks("%s is not gzip: %v", name, err)
	}
	if name != "parts/"+hex.EncodeToString(hash.Sum(nil))+".gz" {
		v.problem("%s does not hold the part that it is named after", name)
	}
	return end()
}

// table calls check with each row of a file, and what the row is called in a problem.
func (v *verifying) table(noun string, kind members, check func(where string, of row)) error {
	name := noun + ".jsonl.gz"
	number := int64(0)
	for of, err := range v.files.lines(name) {
		if err != nil {
			return err
		}
		number++
		of.of(kind)
		check(fmt.Sprintf("line %d of %s", number, name), of)
	}
	if number != v.rows[name] {
		return breaks("%s has %d rows, not %d as the manifest says", name, number, v.rows[name])
	}
	return nil
}
