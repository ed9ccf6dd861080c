package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// result is what a load found.
type result struct {
	requests int
	took     time.Duration
	cpu      float64   // of the server, in seconds
	each     []float64 // milliseconds
}

// load asks the same question over n connections that are kept open, each as soon as it has its answer. It speaks just
// enough HTTP to read an answer with a length: a full client would take the processor that the server needs.
func (b *bench) load(ctx context.Context, server *process, address, path, token string) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, b.seconds)
	defer cancel()
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Auth-Token: %s\r\nOpenStack-API-Version: container-infra 1.14\r\nAccept: application/json\r\n\r\n",
		path, address, token)
	before, err := server.cpu()
	if err != nil {
		return result{}, err
	}
	begin := time.Now()
	each, errs := make([][]float64, b.connections), make([]error, b.connections)
	var all sync.WaitGroup
	for i := range b.connections {
		all.Go(func() { each[i], errs[i] = ask(ctx, address, request) })
	}
	all.Wait()
	r := result{took: time.Since(begin)}
	after, err := server.cpu()
	if err := errors.Join(append(errs, err)...); err != nil {
		return r, err
	}
	r.cpu = after - before
	for _, e := range each {
		r.each = append(r.each, e...)
	}
	r.requests = len(r.each)
	return r, nil
}

// ask is one connection until ctx ends.
func ask(ctx context.Context, address string, request []byte) ([]float64, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing was left to say
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	var took []float64
	for ctx.Err() == nil {
		begin := time.Now()
		if _, err := conn.Write(request); err != nil {
			return took, err
		}
		if err := readAnswer(in); err != nil {
			return took, err
		}
		took = append(took, float64(time.Since(begin).Microseconds())/1000)
	}
	return took, nil
}

// readAnswer is content only with 200.
func readAnswer(in *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")):
			return fmt.Errorf("the server answers %q", line)
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		case len(line) == 0:
			if length < 0 {
				return errors.New("the answer has no length")
			}
			_, err := in.Discard(length)
			return err
		}
	}
}

// parallel calls do for 0 to n-1, at most limit at once, until one fails.
func parallel(ctx context.Context, limit, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan int)
	var all sync.WaitGroup
	for range limit {
		all.Go(func() {
			for i := range todo {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case todo <- i:
		case <-ctx.Done():
		}
	}
	close(todo)
	all.Wait()
	return context.Cause(ctx)
}
