package osa

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
)

// Lookups are the lookups of Ansible that only read: env, file, first_found. Everything else (pipe, url, password)
// would run or write something, and is refused. A file with a private key in it is secret.
func Lookups(env func(string) (string, bool)) map[string]jinja.Lookup {
	return map[string]jinja.Lookup{
		"env": func(terms []any, options *jinja.Dict) ([]any, error) {
			var out []any
			for _, t := range terms {
				name, ok := t.(string)
				if !ok {
					return nil, errors.New("the name of an environment variable is text")
				}
				value, set := env(name)
				if fallback, given := options.Get("default"); !set && given {
					out = append(out, fallback)
					continue
				}
				out = append(out, value)
			}
			return out, nil
		},
		"file":        lookupFile,
		"first_found": firstFound,
	}
}

const maxLookupFile = 1 << 20

func lookupFile(terms []any, options *jinja.Dict) ([]any, error) {
	keepLeft, keepRight := false, true
	if v, ok := options.Get("lstrip"); ok {
		keepLeft = v == true
	}
	if v, ok := options.Get("rstrip"); ok {
		keepRight = v != false
	}
	var out []any
	for _, t := range terms {
		text, err := readLookup(t)
		if err != nil {
			return nil, err
		}
		secret := strings.Contains(text, "PRIVATE KEY")
		if keepLeft {
			text = strings.TrimLeft(text, " \t\r\n")
		}
		if keepRight {
			text = strings.TrimRight(text, " \t\r\n")
		}
		if secret {
			out = append(out, jinja.Secret(text))
		} else {
			out = append(out, text)
		}
	}
	return out, nil
}

func readLookup(term any) (string, error) {
	path, ok := term.(string)
	if !ok || !filepath.IsAbs(path) {
		return "", errors.New("only a file with an absolute path can be read here")
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxLookupFile {
		return "", errors.New("only a regular file up to 1 MiB can be read here")
	}
	text, err := ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read file: %w", err)
	}
	if IsVault(text) {
		return "", errors.New("the file is encrypted with ansible-vault")
	}
	return string(text), nil
}

// firstFound is the first file that is there, of the terms, of files=, or of both with paths=.
func firstFound(terms []any, options *jinja.Dict) ([]any, error) {
	names := words(terms)
	var paths []string
	if v, ok := options.Get("files"); ok {
		names = append(names, words([]any{v})...)
	}
	if v, ok := options.Get("paths"); ok {
		paths = words([]any{v})
	}
	for _, name := range names {
		candidates := []string{name}
		if !filepath.IsAbs(name) {
			candidates = nil
			for _, p := range paths {
				candidates = append(candidates, filepath.Join(p, name))
			}
		}
		for _, c := range candidates {
			if _, err := os.Stat(c); err == nil && filepath.IsAbs(c) {
				return []any{c}, nil
			}
		}
	}
	if v, ok := options.Get("skip"); ok && v == true {
		return nil, nil
	}
	return nil, errors.New("none of the files exists (only absolute paths are tried)")
}

func words(terms []any) []string {
	var out []string
	for _, t := range terms {
		switch t := t.(type) {
		case string:
			out = append(out, t)
		case *jinja.List:
			out = append(out, words(t.Items)...)
		}
	}
	return out
}
