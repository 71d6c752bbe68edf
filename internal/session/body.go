package session

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// largestBody bounds an answer: Vault's own limit for requests is 32 MiB.
const largestBody = 32 << 20

// body is an answer's body. The official client reads all that comes; this ends what is
// too large. It tells once how it ended: nil, or the failure of the connection.
type body struct {
	io.ReadCloser

	left  int64
	once  sync.Once
	ended func(error)
}

func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, fmt.Errorf("the answer is larger than %d MiB", largestBody>>20)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return n, fmt.Errorf("the answer is larger than %d MiB", largestBody>>20)
	}
	if errors.Is(err, io.EOF) {
		b.end(nil)
	} else if err != nil {
		b.end(err)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.end(nil)
	return err
}

func (b *body) end(err error) { b.once.Do(func() { b.ended(err) }) }

// readBody reads an answer of ours, which body bounds.
func readBody(resp *http.Response) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }()
	if n := resp.ContentLength; n > 0 && n <= largestBody {
		b := make([]byte, n)
		_, err := io.ReadFull(resp.Body, b)
		return b, err
	}
	return io.ReadAll(resp.Body)
}
