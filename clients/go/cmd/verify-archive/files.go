package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

const block = 512

// fileName is what a file of an archive may be called.
var fileName = regexp.MustCompile(`^(?:(?:chain|sealed)-[0-9]{6}\.jsonl\.gz` +
	`|(?:snapshots|task_writes|outputs|artifacts|configs|requests)\.jsonl\.gz` +
	`|parts/[0-9a-f]{64}\.gz|objects/[0-9a-f]{64}|manifest\.json)$`)

// broken is something that does not hold, in a sentence.
type broken string

func (b broken) Error() string { return string(b) }

func breaks(format string, of ...any) broken { return broken(fmt.Sprintf(format, of...)) }

// place is where a file is in the tar file.
type place struct{ start, size int64 }

// archive is the files of an archive by name; problems is what is wrong with how they are kept.
type archive struct {
	folder   string
	tar      *os.File
	found    map[string]place
	problems []string
}

// openArchive finds the files of a folder or a tar file.
func openArchive(path string) (*archive, error) {
	about, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	a := &archive{found: map[string]place{}}
	if about.IsDir() {
		a.folder = path
		return a, filepath.WalkDir(path, a.addFile)
	}
	if a.tar, err = os.Open(path); err != nil {
		return nil, err
	}
	if err := a.index(about.Size()); err != nil {
		if _, isBroken := err.(broken); !isBroken {
			return nil, err
		}
		a.problems = append(a.problems, err.Error())
	}
	return a, nil
}

func (a *archive) addFile(path string, each fs.DirEntry, err error) error {
	if err != nil || each.IsDir() {
		return err
	}
	name, err := filepath.Rel(a.folder, path)
	if err != nil {
		return err
	}
	about, err := each.Info()
	if err != nil {
		return err
	}
	if !about.Mode().IsRegular() {
		a.problems = append(a.problems, name+" is a link or no file")
		return nil
	}
	a.add(filepath.ToSlash(name), place{size: about.Size()})
	return nil
}

func (a *archive) add(name string, at place) {
	if !fileName.MatchString(name) {
		a.problems = append(a.problems, fmt.Sprintf("%q is not a file of an archive", name))
	} else if _, isTwice := a.found[name]; isTwice {
		a.problems = append(a.problems, name+" is there twice")
	} else {
		a.found[name] = at
	}
}

// open reads a file.
func (a *archive) open(name string) (io.ReadCloser, error) {
	if a.folder != "" {
		return os.Open(filepath.Join(a.folder, filepath.FromSlash(name)))
	}
	at := a.found[name]
	return io.NopCloser(io.NewSectionReader(a.tar, at.start, at.size)), nil
}

// index finds the files of the tar file: each header, each padding and the end has to be as exports
// write them.
func (a *archive) index(end int64) error {
	header := make([]byte, block)
	at := int64(0)
	for ; ; at += block {
		if _, err := io.ReadFull(io.NewSectionReader(a.tar, at, block), header); err != nil {
			return breaks("the tar file ends at byte %d", end)
		}
		if bytes.Equal(header, make([]byte, block)) {
			break
		}
		name, size, isOne := named(header)
		if !isOne {
			return breaks("byte %d of the tar file is not the beginning of a file", at)
		}
		a.add(name, place{at + block, size})
		padding := (block - size%block) % block
		if size > end-at-block-padding {
			return breaks("the tar file ends within %s", name)
		}
		rest := make([]byte, padding)
		if _, err := a.tar.ReadAt(rest, at+block+size); err != nil {
			return err
		}
		if !bytes.Equal(rest, make([]byte, padding)) {
			return breaks("what follows %s in the tar file is not padding", name)
		}
		at += size + padding
	}
	rest, err := io.ReadAll(io.NewSectionReader(a.tar, at, 2*block+1))
	if err != nil {
		return err
	}
	if !bytes.Equal(rest, make([]byte, 2*block)) {
		return broken("the tar file does not end where its end is marked")
	}
	return nil
}

// named reads a header; false if it is not what exports write for that name and size.
func named(header []byte) (name string, size int64, isOne bool) {
	name = string(bytes.TrimRight(header[:100], "\x00"))
	digits := header[124:136]
	if digits[0] == 0x80 {
		for _, digit := range digits[4:] {
			size = size<<8 | int64(digit)
		}
	} else {
		size, _ = strconv.ParseInt(string(digits[:11]), 8, 64)
	}
	return name, size, size >= 0 && bytes.Equal(header, headerOf(name, size))
}

// headerOf is the header of a file.
func headerOf(name string, size int64) []byte {
	header := make([]byte, block)
	copy(header, name)
	copy(header[100:], "0000644\x000000000\x000000000\x00")
	if size < 1<<33 {
		copy(header[124:], fmt.Sprintf("%011o\x00", size))
	} else {
		header[124] = 0x80
		for place, left := 135, size; place > 124 && left > 0; place, left = place-1, left>>8 {
			header[place] = byte(left)
		}
	}
	copy(header[136:], "00000000000\x00        0")
	copy(header[257:], "ustar  \x00")
	sum := 0
	for _, each := range header {
		sum += int(each)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	return header
}
