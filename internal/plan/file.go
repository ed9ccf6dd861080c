package plan

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/scrypt"
)

// File is a plan that is kept to be reviewed, and carried out as it was reviewed. What is carried out is a plan that is
// made again: the file only proves that it is the same one, and that everything is still as it was when this one was
// made.
type File struct {
	// Format is this one's.
	Format int `json:"format"`
	// Made is when, By is the program that made it.
	Made time.Time `json:"made"`
	By   string    `json:"by"`
	// Salt and Digest are of the plan and of its basis. The basis has passwords among much that is known: the digest is
	// one that costs too much to guess them by.
	Salt   []byte `json:"salt"`
	Digest []byte `json:"digest"`
	// Basis are the digests of the basis' parts, to say what has moved.
	Basis []PartSum `json:"basis"`
	Plan  Plan      `json:"plan"`
}

// Part is one thing of many that a plan follows from, as text that is the same only if that is.
type Part struct {
	Name string // for people, such as "what is on infra1"
	Text []byte
}

// behind appends a part to others, with its name. Zero bytes, which no JSON has in it, keep them apart.
func (p Part) behind(text []byte) []byte {
	text = append(append(append(text, 0), p.Name...), 0)
	return append(text, p.Text...)
}

// PartSum is the digest of a part, which costs as much to guess from as the whole one.
type PartSum struct {
	Name   string `json:"name"`
	Digest []byte `json:"digest"`
}

const fileFormat = 2

// sumsAtMost bounds the digests of parts: each takes a twentieth of a second. Of further parts is only said that one of
// them has moved.
const sumsAtMost = 32

// maxFile bounds what is read: a plan for hundreds of hosts with all differences has a few megabytes.
const maxFile = 256 << 20

// NewFile is the file of a plan. The basis is everything that it follows from.
func NewFile(p Plan, basis []Part, by string, now time.Time, random io.Reader) (File, error) {
	f := File{Format: fileFormat, Made: now.UTC(), By: by, Salt: make([]byte, 16), Plan: p}
	if _, err := io.ReadFull(random, f.Salt); err != nil {
		return f, fmt.Errorf("make a salt: %w", err)
	}
	var err error
	if f.Digest, err = f.digest(p, basis); err != nil {
		return f, err
	}
	f.Basis, err = f.sums(basis)
	return f, err
}

func (f File) digest(p Plan, basis []Part) ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write the plan: %w", err)
	}
	for _, part := range basis {
		text = part.behind(text)
	}
	return f.sum(text)
}

// sums are the parts' own digests.
func (f File) sums(basis []Part) ([]PartSum, error) {
	var out []PartSum
	for _, part := range folded(basis) {
		sum, err := f.sum(part.behind(nil))
		if err != nil {
			return nil, err
		}
		out = append(out, PartSum{part.Name, sum})
	}
	return out, nil
}

// folded are parts, the last of too many taken together.
func folded(basis []Part) []Part {
	if len(basis) <= sumsAtMost {
		return basis
	}
	out := slices.Clone(basis[:sumsAtMost-1])
	rest := Part{Name: fmt.Sprintf("one of %d more, from %s to %s", len(basis)-len(out), basis[len(out)].Name, basis[len(basis)-1].Name)}
	for _, part := range basis[len(out):] {
		rest.Text = part.behind(rest.Text)
	}
	return append(out, rest)
}

func (f File) sum(text []byte) ([]byte, error) {
	sum, err := scrypt.Key(text, f.Salt, 1<<14, 8, 1, 32)
	if err != nil {
		return nil, fmt.Errorf("sum up the plan: %w", err)
	}
	return sum, nil
}

// Text is what stands in the file. It is for its owner alone.
func (f File) Text() ([]byte, error) {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the plan: %w", err)
	}
	return append(text, '\n'), nil
}

// ReadFile reads a file that has Text in it.
func ReadFile(path string) (File, error) {
	var f File
	r, err := os.Open(path)
	if err != nil {
		return f, fmt.Errorf("read the plan: %w", err)
	}
	defer func() { _ = r.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return f, fmt.Errorf("read the plan: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, fmt.Errorf("%s is no plan (jeroboam deploy plan --out makes one): %w", path, err)
	}
	if f.Format != fileFormat {
		return f, fmt.Errorf("%s has format %d, and this program knows %d: plan again with this program", path, f.Format, fileFormat)
	}
	return f, nil
}

// Holds says whether a plan that was made now is the file's and follows from the same. The error says what has changed.
func (f File) Holds(now Plan, basis []Part) error {
	sum, err := f.digest(now, basis)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sum, f.Digest) == 1 {
		was, err1 := json.Marshal(f.Plan)
		is, err2 := json.Marshal(now)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if bytes.Equal(was, is) {
			return nil
		}
		return errors.New("the plan in the file has been changed by hand: what it says is not what would be done")
	}
	var out []string
	for _, c := range without(f.Plan, now) {
		out = append(out, "no more: "+c)
	}
	for _, c := range without(now, f.Plan) {
		out = append(out, "new: "+c)
	}
	if len(out) == 0 {
		moved, err := f.moved(basis)
		if err != nil {
			return err
		}
		out = append([]string{"the same would change, on another basis; since then has moved:"}, moved...)
	}
	return fmt.Errorf("the plan of %s does not hold any more:\n  %s\nplan again with the same flags, and look at it",
		f.Made.Format(time.RFC3339), strings.Join(out, "\n  "))
}

// moved are the parts that are not as they were, and those that are new or gone.
func (f File) moved(basis []Part) ([]string, error) {
	now, err := f.sums(basis)
	if err != nil {
		return nil, err
	}
	differs := func(p PartSum, from []PartSum) bool {
		return !slices.ContainsFunc(from, func(o PartSum) bool { return o.Name == p.Name && bytes.Equal(o.Digest, p.Digest) })
	}
	var out []string
	for _, p := range slices.Concat(now, f.Basis) {
		if (differs(p, f.Basis) || differs(p, now)) && !slices.Contains(out, "  "+p.Name) {
			out = append(out, "  "+p.Name)
		}
	}
	return out, nil
}

// without are the changes and findings of a plan that another has not, or not so.
func without(p, other Plan) []string {
	var out []string
	for _, c := range p.Changes {
		if !slices.ContainsFunc(other.Changes, func(o Change) bool {
			o.What, c.What = nil, nil
			return o == c
		}) {
			out = append(out, strings.TrimSuffix(fmt.Sprintf("%s: %s %s %s: %s", c.Place, c.Action, c.Kind, c.Name, c.Summary), ": "))
		}
	}
	for _, f := range p.Findings {
		if !slices.Contains(other.Findings, f) {
			out = append(out, f.Where+": "+f.Text+" ("+f.Judge+")")
		}
	}
	return out
}
