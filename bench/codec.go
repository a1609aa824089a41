package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
	"golang.org/x/crypto/chacha20poly1305"
)

const (
	record = 16 << 10 // of TLS
	block  = 64 << 10
	lump   = 1 << 20
)

// codec measures ciphers, hashes and compressors on one thread.
func (s *session) codec(ctx context.Context) error {
	if err := s.ciphers(ctx); err != nil {
		return err
	}
	data := noise(block, 1)
	table := crc32.MakeTable(crc32.Castagnoli)
	sink := byte(0)
	for _, h := range []struct {
		name  string
		scale float64
		sum   func()
	}{
		{"codec.sha256", 1e-6, func() { v := sha256.Sum256(data); sink ^= v[0] }},
		{"codec.blake3", 1e-6, func() { v := blake3.Sum256(data); sink ^= v[0] }},
		{"codec.crc32c", 1e-9, func() { sink ^= byte(crc32.Checksum(data, table)) }},
	} {
		if _, err := s.measure(ctx, h.name, probe{params: map[string]string{"block": "64 KiB"}, sample: timed(1, h.scale, func(int) float64 {
			h.sum()
			return block
		})}); err != nil {
			return err
		}
	}
	return s.compressors(ctx)
}

func (s *session) ciphers(ctx context.Context) error {
	key := noise(32, 2)
	gcm := func(bits int) (cipher.AEAD, error) {
		b, err := aes.NewCipher(key[:bits/8])
		if err != nil {
			return nil, err
		}
		return cipher.NewGCM(b)
	}
	plain := noise(record, 3)
	for _, c := range []struct {
		name string
		make func() (cipher.AEAD, error)
	}{
		{"codec.aes128gcm", func() (cipher.AEAD, error) { return gcm(128) }},
		{"codec.aes256gcm", func() (cipher.AEAD, error) { return gcm(256) }},
		{"codec.chacha20poly1305", func() (cipher.AEAD, error) { return chacha20poly1305.New(key) }},
	} {
		aead, err := c.make()
		if err != nil {
			return err
		}
		nonce, out := make([]byte, aead.NonceSize()), make([]byte, 0, record+aead.Overhead())
		if _, err := s.measure(ctx, c.name, probe{params: map[string]string{"record": "16 KiB"}, sample: timed(1, 1e-9, func(int) float64 {
			for i := range nonce { // a counter, as in TLS
				if nonce[i]++; nonce[i] != 0 {
					break
				}
			}
			aead.Seal(out, nonce, plain, nil)
			return record
		})}); err != nil {
			return err
		}
	}
	return nil
}

// compressors measures on data of both extremes, because the difference decides whether
// compressing pays.
func (s *session) compressors(ctx context.Context) error {
	type compressor interface {
		io.WriteCloser
		Reset(io.Writer)
	}
	level := func(l zstd.EncoderLevel) func() (compressor, error) {
		return func() (compressor, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderLevel(l), zstd.WithEncoderConcurrency(1))
		}
	}
	inputs := []struct {
		name string
		data []byte
	}{{"random", noise(lump, 4)}, {"text", corpus(lump)}}
	for _, c := range []struct {
		name string
		make func() (compressor, error)
	}{
		{"gzip6", func() (compressor, error) { return gzip.NewWriterLevel(nil, 6) }},
		{"zstd1", level(zstd.SpeedFastest)},
		{"zstd3", level(zstd.SpeedDefault)},
	} {
		for _, in := range inputs {
			w, err := c.make()
			if err != nil {
				return err
			}
			var out bytes.Buffer
			out.Grow(2 * lump)
			if _, err := s.measure(ctx, "codec."+c.name+"."+in.name, probe{params: map[string]string{"piece": "1 MiB"}, sample: timed(1, 1e-6, func(int) float64 {
				out.Reset()
				w.Reset(&out)
				w.Write(in.data) // into memory: never fails
				w.Close()
				return lump
			}), finish: func(r *Result) {
				r.Also = append(r.Also, Also{"ratio", float64(out.Len()) / lump, "of the input"})
			}}); err != nil {
				return err
			}
		}
	}
	return nil
}
