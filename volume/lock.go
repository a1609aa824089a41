package volume

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// GetLock tells whether lock would be granted, and if not, one lock that stands in the way (F_GETLK).
func (v *Volume) GetLock(ctx context.Context, ino honeyant.Ino, lock meta.FileLock) (granted bool, conflict meta.FileLock, err error) {
	r, err := ask(ctx, v, "volume.GetLock", &meta.GetLock{Volume: v.o.Volume, Ino: ino, Lock: lock})
	if err != nil {
		return false, meta.FileLock{}, err
	}
	return r.Granted, r.Conflict, nil
}

// SetLock takes a lock or changes its type, after this volume's dirty bytes of the file are
// committed; once it is granted, what other nodes committed before is seen. Without wait a lock
// that somebody else holds is Conflict; with wait the call ends when ctx does (Interrupted). The
// deadline of other calls does not count while waiting: F_SETLKW waits as long as the program does.
func (v *Volume) SetLock(ctx context.Context, ino honeyant.Ino, lock meta.FileLock, wait bool) error {
	return honeyant.E("volume.SetLock", honeyant.Unsupported, "", nil)
}

// Unlock commits the file's dirty bytes and gives the owner's locks in the range back.
func (v *Volume) Unlock(ctx context.Context, ino honeyant.Ino, lock meta.FileLock) error {
	return honeyant.E("volume.Unlock", honeyant.Unsupported, "", nil)
}
