package demo

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/honeyant/honeyant/admin"
)

// target is a way into the volume through one node.
type target interface {
	// put writes a whole file, making its directories.
	put(ctx context.Context, rel string, data []byte) error
	// sum reads a whole file and answers its SHA-256.
	sum(ctx context.Context, rel string) ([sha256.Size]byte, error)
}

// target of d: its mount, or without FUSE the volume behind its command socket.
func (c *colony) target(d *daemon) target {
	if c.fuse {
		return mounted{d.mount}
	}
	return direct{admin.NewClient(d.dir)}
}

// mounted goes through the kernel like any program.
type mounted struct{ root string }

func (m mounted) put(_ context.Context, rel string, data []byte) error {
	path := filepath.Join(m.root, rel)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (m mounted) sum(_ context.Context, rel string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(filepath.Join(m.root, rel))
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// direct uses the volume without a mount.
type direct struct{ client *admin.Client }

func (d direct) put(ctx context.Context, rel string, data []byte) error {
	const piece = 4 << 20
	for offset := 0; ; offset += piece {
		end := min(offset+piece, len(data))
		req := admin.PutRequest{Path: rel, Offset: int64(offset), Data: data[min(offset, end):end], Last: end == len(data)}
		if err := d.client.Call(ctx, "file.put", req, nil); err != nil || req.Last {
			return err
		}
	}
}

func (d direct) sum(ctx context.Context, rel string) (sum [sha256.Size]byte, err error) {
	var r admin.SumReply
	if err := d.client.Call(ctx, "file.sum", admin.SumRequest{Path: rel}, &r); err != nil {
		return sum, err
	}
	if len(r.SHA256) != len(sum) {
		return sum, errors.New("the daemon answered a sum of the wrong length")
	}
	return [sha256.Size]byte(r.SHA256), nil
}
