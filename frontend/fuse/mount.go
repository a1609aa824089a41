package fuse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
)

// answerDeadline bounds the question whether an old mount point is alive.
const answerDeadline = 2 * time.Second

// MountOptions of one mount point. The zero value is what rule 28 asks for.
type MountOptions struct {
	OnlyOwner   bool // only the user that mounts may look inside; default: all, by permission
	Force       bool // mount over a directory that is not empty
	ReadAheadKB int  // how far the kernel reads ahead, KiB; default 1024; needs root to take effect
	// MaxInflight bounds the buffers of requests under way, in bytes; default 8 MiB (rule 37).
	MaxInflight int
	// Transport is how requests come; default auto.
	Transport Transport
	Debug     bool // log each request
	Log       *slog.Logger

	plus bool // listings bring names and attributes (keep_entries.go); a kernel that does not keep them asks again nevertheless
}

func (o *MountOptions) setDefaults() {
	if o.ReadAheadKB == 0 {
		o.ReadAheadKB = 1024
	}
	if o.MaxInflight == 0 {
		o.MaxInflight = 8 << 20
	}
	if o.Transport == "" {
		o.Transport = TransportAuto
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// capabilities are asked for besides go-fuse's own; the kernel grants what it knows.
//
//   - DONT_MASK: the umask comes along and metadata applies it, unless a default ACL rules.
//   - HANDLE_KILLPRIV_V2: no GETXATTR security.capability before each write.
//   - ATOMIC_O_TRUNC: open(O_TRUNC) is one request.
//   - SETXATTR_EXT: says when setting an ACL must clear setgid.
//   - DIRECT_IO_ALLOW_MMAP: O_APPEND files, which are opened FOPEN_DIRECT_IO, can be mapped shared.
//   - ASYNC_DIO: O_DIRECT reads and writes of several requests at once.
const capabilities = gofuse.CAP_DONT_MASK | gofuse.CAP_HANDLE_KILLPRIV_V2 | gofuse.CAP_ATOMIC_O_TRUNC |
	gofuse.CAP_SETXATTR_EXT | gofuse.CAP_DIRECT_IO_ALLOW_MMAP | gofuse.CAP_ASYNC_DIO

// ServerOptions are what a transport of this file system has to negotiate, whatever it is:
// Mount uses them for /dev/fuse, gofuse.NewProtocolServer can take them for another. Never
// CAP_WRITEBACK_CACHE (F4).
func ServerOptions(o MountOptions) *gofuse.MountOptions {
	o.setDefaults()
	return &gofuse.MountOptions{
		AllowOther:              !o.OnlyOwner,
		Options:                 []string{"default_permissions"},
		MaxBackground:           background(o.MaxInflight),
		MaxInflightRequestBytes: o.MaxInflight,
		MaxWrite:                1 << 20,
		DisableSplice:           true, // answers lie in memory; go-fuse would try a pipe for each in vain
		FsName:                  "honeyant",
		Name:                    "honeyant",
		EnableLocks:             true,
		EnableAcl:               true,
		DirectMountStrict:       os.Geteuid() == 0,
		ExtraCapabilities:       capabilities,
		DisabledCapabilities:    gofuse.CAP_WRITEBACK_CACHE | gofuse.CAP_PASSTHROUGH,
		DisableReadDirPlus:      !o.plus,
		Debug:                   o.Debug,
		Logger:                  log.New(slogWriter{o.Log}, "", 0),
		PanicHandler: func(v any) gofuse.Status {
			o.Log.Error("fuse: a request panicked", "panic", v, "stack", string(debug.Stack()))
			return gofuse.EIO
		},
	}
}

// background is how many read-ahead requests the kernel may have under way. go-fuse takes a
// buffer of up to MaxWrite for the answer of each, which MaxInflightRequestBytes does not count, so
// this is what bounds them: to twice maxInflight at worst, if all are as large as can be (rule 37).
func background(maxInflight int) int { return min(64, max(12, maxInflight>>19)) }

// slogWriter takes go-fuse's log lines.
type slogWriter struct{ log *slog.Logger }

func (w slogWriter) Write(p []byte) (int, error) {
	w.log.Info("fuse: " + string(p[:max(0, len(p)-1)]))
	return len(p), nil
}

// Mount is a file system at a path.
type Mount struct {
	path   string
	minor  uint32
	fs     *FS
	server *Connection
	log    *slog.Logger
	done   chan struct{} // closed when the last request has been answered

	stopKeeping func()

	closeOnce sync.Once
	closeErr  error
}

// NewMount mounts fs at path, which must be a directory, and starts to serve it; it is ready
// when NewMount returns. What a dead daemon left at path is taken away first. Errors: Exist
// (something is mounted there), NotEmpty (unless forced), Permission or Unsupported with a text
// that says what to do. fs can be mounted once.
func NewMount(ctx context.Context, fs *FS, path string, o MountOptions) (*Mount, error) {
	const op = "fuse.Mount"
	o.setDefaults()
	asked := path
	path, err := canonical(path)
	if err != nil {
		if errors.Is(err, honeyant.NotExist) {
			err = cmp.Or(checkPoint(asked, true), err) // says what to do
		}
		return nil, err
	}
	if err := clearDead(ctx, path, o.Log); err != nil {
		return nil, err
	}
	if err := checkPoint(path, o.Force); err != nil {
		return nil, err
	}
	if err := checkDevice(); err != nil {
		return nil, err
	}
	server, stopKeeping, err := connect(fs, path, o)
	if err != nil {
		return nil, honeyant.E(op, mountKind(err), path, fmt.Errorf("%w%s", err, mountHint(err)))
	}
	m := &Mount{path: path, fs: fs, server: server, log: o.Log, done: make(chan struct{}), stopKeeping: stopKeeping}
	go m.serve()
	if err := m.settle(o); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// connect mounts, and lets the kernel keep names and attributes if that is asked for.
func connect(fs *FS, path string, o MountOptions) (c *Connection, stop func(), err error) {
	forget := func() {}
	if fs.options.KernelCache { // before the first request, which may be answered before Connect returns
		o.plus = expiresNames()
		var through func(context.Context) context.Context
		through, forget = fs.volume.Keep(fs.kept.drop)
		fs.root = through(fs.root)
	}
	c, err = Connect(fs, path, ServerOptions(o), ConnectOptions{
		Transport: o.Transport, Notices: fs.options.KernelCache, Gone: fs.interruptAll, Log: o.Log,
	})
	if err != nil || !fs.options.KernelCache || c.device < 0 {
		forget()
		return c, func() {}, err
	}
	stop, err = fs.keep(c.device, path, forget, o.Log)
	if err != nil {
		forget()
		return nil, nil, errors.Join(err, unix.Unmount(path, unix.MNT_DETACH))
	}
	return c, stop, nil
}

// lookEvery is after how many seconds it is found out whether anything is mounted below.
const lookEvery = 5

func (m *Mount) serve() {
	defer close(m.done)
	defer m.stopKeeping()
	swept := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(swept)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-tick.C:
				m.fs.Sweep()
				m.fs.kept.prune()
				if n%lookEvery == 0 {
					m.fs.kept.look()
				}
			case <-stop:
				return
			}
		}
	}()
	m.server.Serve()
	close(stop)
	<-swept
}

// settle learns the connection's number and sets the kernel's read-ahead.
func (m *Mount) settle(o MountOptions) error {
	minor, err := deviceOf(m.path)
	if err != nil {
		return honeyant.E("fuse.Mount", honeyant.Internal, m.path, err)
	}
	m.minor = minor
	// Not server.WaitMount: it would open a file below the mount, which waits for the leader (F5).
	bdi := fmt.Sprintf("/sys/class/bdi/0:%d/read_ahead_kb", m.minor)
	if err := os.WriteFile(bdi, []byte(strconv.Itoa(o.ReadAheadKB)), 0); err != nil {
		// Only slower: 128 KiB reads. Containers often have /sys read-only.
		m.log.Warn("fuse: can not set read-ahead", "file", bdi, "error", err)
	}
	return nil
}

// Transport is how requests come: uring or dev.
func (m *Mount) Transport() Transport { return m.server.Transport }

// Path is where it is mounted.
func (m *Mount) Path() string { return m.path }

// Done is closed when the mount has ended, whoever ended it, and no request is under way.
func (m *Mount) Done() <-chan struct{} { return m.done }

// Wait returns when the mount has ended or ctx has.
func (m *Mount) Wait(ctx context.Context) error {
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close takes the mount away and returns when no request is under way. What programs wrote is
// flushed first; programs that still have files open get errors from then on. Close twice is
// harmless. The volume stays open.
func (m *Mount) Close() error {
	m.closeOnce.Do(func() { m.closeErr = m.end() })
	return m.closeErr
}

func (m *Mount) end() error {
	defer m.fs.stop()
	select {
	case <-m.done: // unmounted by others
		return nil
	default:
	}
	flushed := m.flush()
	ctx, cancel := context.WithTimeout(context.Background(), m.fs.options.Deadline)
	defer cancel()
	if err := m.detach(ctx); err != nil {
		return honeyant.E("fuse.Close", honeyant.Unavailable, m.path, err)
	}
	m.fs.interruptAll()
	if m.waitFor(ctx, elsewhere) != nil {
		m.log.Warn("fuse: the mount lives on in another mount namespace, ending its connection", "path", m.path)
		if err := abort(m.minor); err != nil {
			return honeyant.E("fuse.Close", honeyant.Unavailable, m.path, err)
		}
	}
	if err := m.Wait(ctx); err != nil {
		return honeyant.E("fuse.Close", honeyant.Unavailable, m.path, fmt.Errorf("requests are still under way after %v", m.fs.options.Deadline))
	}
	return flushed
}

// elsewhere is how long after it was unmounted a connection ends by itself, if no other mount namespace has a copy of the
// mount, as those have that were made by unshare(2), or ip netns exec, where propagation is private.
const elsewhere = time.Second

func (m *Mount) waitFor(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return m.Wait(ctx)
}

// detach takes the mount off its path and ends the connection, whoever still uses it.
func (m *Mount) detach(ctx context.Context) error {
	e, mounted, err := topmost(m.path)
	if err != nil {
		return err
	}
	if !mounted || e.Minor != m.minor { // taken off by others while files were open; what is there now is not ours
		return abort(m.minor)
	}
	if umount(ctx, m.path, 0) == nil {
		return nil
	}
	// Busy, or no answer. MNT_FORCE aborts the connection, so that this can not hang.
	if umount(ctx, m.path, unix.MNT_FORCE|unix.MNT_DETACH) == nil && os.Geteuid() == 0 {
		return nil
	}
	return abort(m.minor)
}

func (m *Mount) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), m.fs.options.Deadline)
	defer cancel()
	return m.fs.volume.Sync(ctx)
}

// clearDead takes away mounts at path whose daemon is gone.
func clearDead(ctx context.Context, path string, log *slog.Logger) error {
	for range 16 { // stacked leftovers of many crashes
		e, mounted, err := topmost(path)
		if err != nil || !mounted {
			return err
		}
		if e.Point != path {
			return nil
		}
		err = answers(ctx, path)
		switch {
		case ours(e) && errors.Is(err, unix.ENOTCONN):
			log.Warn("fuse: taking away what a dead daemon left mounted", "path", path)
			if err := umount(ctx, path, unix.MNT_DETACH); err != nil {
				return honeyant.E("fuse.Mount", kindOfOS(err), path, fmt.Errorf("a dead mount can not be taken away: %w", err))
			}
		case ours(e) && errors.Is(err, context.DeadlineExceeded):
			return honeyant.E("fuse.Mount", honeyant.Exist, path, fmt.Errorf("a volume is mounted here and its daemon does not answer; end it or run: honeyant umount %s", path))
		case ours(e):
			return honeyant.E("fuse.Mount", honeyant.Exist, path, fmt.Errorf("a volume is mounted here already; to end that run: honeyant umount %s", path))
		default:
			return nil // some other file system's root: as good as any directory
		}
	}
	return honeyant.E("fuse.Mount", honeyant.Exist, path, fmt.Errorf("too many dead mounts on top of each other"))
}

// aliveXattr is asked of the root to learn whether its daemon lives: the kernel passes the
// question on without any other, and the daemon answers it without asking anybody.
const aliveXattr = "security.honeyant.alive"

// answers tells how the file system at path answers: nil if it does at all, ENOTCONN if its daemon
// is dead, DeadlineExceeded if it hangs.
func answers(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, answerDeadline)
	defer cancel()
	result := make(chan error, 1) // 1: the question may outlive the one who asked
	go func() {
		_, err := unix.Lgetxattr(path, aliveXattr, nil)
		result <- err
	}()
	select {
	case err := <-result:
		// ECANCELED: the daemon was killed just now, and the kernel still takes its rings apart.
		if errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.ECANCELED) {
			return unix.ENOTCONN
		}
		return nil
	case <-ctx.Done():
		return context.DeadlineExceeded
	}
}

// checkPoint refuses what must not be hidden under a mount.
func checkPoint(path string, force bool) error {
	const op = "fuse.Mount"
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return honeyant.E(op, honeyant.NotExist, path, fmt.Errorf("there is no such directory; make it first: mkdir -p %s", path))
	}
	if err != nil {
		return honeyant.E(op, kindOfOS(err), path, err)
	}
	if !info.IsDir() {
		return honeyant.E(op, honeyant.NotDir, path, nil)
	}
	if path == "/" {
		return honeyant.E(op, honeyant.Invalid, path, fmt.Errorf("will not mount over the root directory"))
	}
	dir, err := os.Open(path)
	if err != nil {
		return honeyant.E(op, kindOfOS(err), path, err)
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(1) // an error reads as empty: mounting over it hides nothing that can be read
	if len(names) > 0 && !force {
		return honeyant.E(op, honeyant.NotEmpty, path, fmt.Errorf("it holds %q, which the mount would hide; take an empty directory", filepath.Join(path, names[0])))
	}
	return nil
}

// checkDevice says what is missing before the kernel says it in riddles.
func checkDevice() error {
	const device = "/dev/fuse"
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, os.ErrNotExist):
		return honeyant.E("fuse.Mount", honeyant.Unsupported, device, fmt.Errorf("this machine has no FUSE: load the kernel module with \"modprobe fuse\"; in a container give it the device (docker run --device /dev/fuse --cap-add SYS_ADMIN)"))
	case errors.Is(err, os.ErrPermission):
		return honeyant.E("fuse.Mount", honeyant.Permission, device, fmt.Errorf("no right to use it: run as root, or join the group that owns it; in a container give it the device and CAP_SYS_ADMIN: %w", err))
	}
	return honeyant.E("fuse.Mount", honeyant.Unsupported, device, err)
}

func mountKind(err error) honeyant.Kind {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return honeyant.Permission
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOSYS):
		return honeyant.Unsupported
	}
	return kindOfOS(err)
}

func mountHint(err error) string {
	switch {
	case os.Geteuid() != 0:
		return " (as an ordinary user this needs the package fuse3 and user_allow_other in /etc/fuse.conf; or run as root)"
	case errors.Is(err, unix.EPERM):
		return " (root without CAP_SYS_ADMIN: give the container that capability)"
	}
	return ""
}
