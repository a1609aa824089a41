package fuse

import (
	"cmp"
	"path/filepath"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/mountinfo"
)

// fsType is what mount(8) and df -T show.
const fsType = "fuse.honeyant"

// topmost is the mount that covers path itself, the last one if several are stacked.
func topmost(path string) (mountinfo.Mount, bool, error) {
	all, err := mountinfo.Read()
	if err != nil {
		return mountinfo.Mount{}, false, honeyant.E("fuse.mounts", honeyant.Internal, mountinfo.Path, err)
	}
	for _, m := range slices.Backward(all) {
		if m.Point == path {
			return m, true, nil
		}
	}
	return mountinfo.Mount{}, false, nil
}

// canonical is path as mountinfo would name it. What is a mount point is not touched: it
// may not answer.
func canonical(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", honeyant.E("fuse.canonical", honeyant.Invalid, path, err)
	}
	if abs == "/" {
		return abs, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", honeyant.E("fuse.canonical", kindOfOS(err), path, err)
	}
	abs = filepath.Join(dir, filepath.Base(abs))
	if _, mounted, err := topmost(abs); err != nil || mounted {
		return abs, err
	}
	if resolved, err := filepath.EvalSymlinks(abs); err == nil {
		return resolved, nil
	}
	return abs, nil // does not exist: the caller's own call says so
}

// kindOfOS is Internal where the operating system says nothing better.
func kindOfOS(err error) honeyant.Kind { return cmp.Or(honeyant.KindOfSystem(err), honeyant.Internal) }
