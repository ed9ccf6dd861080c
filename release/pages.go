package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"

	mangokong "github.com/alecthomas/mango-kong"
	"github.com/muesli/roff"

	"github.com/jeroboam-cloud/jeroboam/internal/cli"
)

// pages writes the manual page and the shells' completion.
func (r *release) pages(ctx context.Context) error {
	model, err := cli.Model()
	if err != nil {
		return err
	}
	if err := writeCompressed(r.work("jeroboam.1.gz"), []byte(mangokong.NewManPage(1, model).Build(roff.NewDocument()))); err != nil {
		return err
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out, said bytes.Buffer
		if status := cli.Run(ctx, []string{"completion", shell}, cli.Streams{Out: &out, Err: &said}); status != 0 {
			return fmt.Errorf("completion %s: %s", shell, said.String())
		}
		if err := os.WriteFile(r.work("completion."+shell), out.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeCompressed writes gzip without a name and a time.
func writeCompressed(path string, content []byte) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	return w.Close()
}
