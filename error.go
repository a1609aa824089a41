package honeyant

import (
	"errors"
	"fmt"
	"strings"
)

// Kind classifies an error. Kinds cross the wire between versions: the list is only
// ever appended to. Decide with errors.Is(err, honeyant.NotExist), never by text.
type Kind uint8

// The kinds. Each front end maps them in exactly one file (errno, HTTP status, exit code).
const (
	Other        Kind = iota // not classified; treated like Internal
	NotExist                 // ENOENT
	Exist                    // EEXIST
	NotDir                   // ENOTDIR
	IsDir                    // EISDIR
	NotEmpty                 // ENOTEMPTY
	Permission               // EACCES: mode bits or ACL say no
	NoSpace                  // ENOSPC
	Quota                    // EDQUOT
	Stale                    // ESTALE: the object, generation or epoch is gone
	Conflict                 // EAGAIN: somebody else holds it (a lock, a concurrent change); retry may work
	NotLeader                // internal: ask the leader; never reaches a program
	Unavailable              // EIO after the named deadline: nobody who could answer did
	Corrupt                  // EIO: bytes do not match their checksum; never downgraded
	Invalid                  // EINVAL
	Internal                 // EIO: a broken invariant
	NameTooLong              // ENAMETOOLONG
	TooManyLinks             // EMLINK
	TooLarge                 // EFBIG
	NoAttr                   // ENODATA: no such extended attribute
	OutOfRange               // ERANGE: the caller's buffer or limit is too small
	TooBig                   // E2BIG: extended attribute value over the limit
	NotPermitted             // EPERM: never allowed on this object, whoever asks
	Unsupported              // EOPNOTSUPP
	Deadlock                 // EDEADLK
	Interrupted              // EINTR: the caller gave up
	Superseded               // internal: a batch of an older epoch; the op was not done
	BadHandle                // EBADF
	CrossDevice              // EXDEV
	NoDevice                 // ENXIO: seek past the end, no such address
	Loop                     // ELOOP
	Fenced                   // internal: the session is dead; a new one is needed
	NoLocks                  // ENOLCK: the file has as many locks as it may have
	kindEnd
)

var kindNames = [...]string{
	Other: "other error", NotExist: "does not exist", Exist: "already exists", NotDir: "not a directory",
	IsDir: "is a directory", NotEmpty: "directory not empty", Permission: "permission denied", NoSpace: "no space left",
	Quota: "quota exceeded", Stale: "stale", Conflict: "conflict", NotLeader: "not the leader", Unavailable: "unavailable",
	Corrupt: "corrupt", Invalid: "invalid", Internal: "internal error", NameTooLong: "name too long",
	TooManyLinks: "too many links", TooLarge: "file too large", NoAttr: "no such attribute", OutOfRange: "out of range",
	TooBig: "value too big", NotPermitted: "operation not permitted", Unsupported: "not supported", Deadlock: "deadlock",
	Interrupted: "interrupted", Superseded: "superseded", BadHandle: "bad handle", CrossDevice: "crosses volumes",
	NoDevice: "no such address", Loop: "too many levels", Fenced: "session is dead",
	NoLocks: "no locks available",
}

// Error makes a Kind usable as a target of errors.Is.
func (k Kind) Error() string { return k.String() }

// String is the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Kinds lists every kind this version knows, for tests of translation tables.
func Kinds() []Kind {
	all := make([]Kind, 0, kindEnd)
	for k := Other; k < kindEnd; k++ {
		all = append(all, k)
	}
	return all
}

// Error says operation, kind, object, node and cause. Empty fields are left out of the text.
type Error struct {
	Op     string // "package.Verb"
	Kind   Kind
	Object string // path, chunk, node ...: what it was about
	Node   NodeID // the node on which it happened, 0 if this one or unknown
	Err    error  // the cause, may be nil
}

// E makes an *Error. If kind is Other the cause's kind is taken over.
func E(op string, kind Kind, object string, cause error) *Error {
	if kind == Other && cause != nil {
		kind = KindOf(cause)
	}
	return &Error{Op: op, Kind: kind, Object: object, Err: cause}
}

// Error is "op: object: kind: cause", without repeating what the cause says itself.
func (e *Error) Error() string {
	var parts []string
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	add(e.Op)
	add(e.Object)
	if e.Node != 0 {
		add("on " + e.Node.String())
	}
	var inner *Error
	if !errors.As(e.Err, &inner) || inner.Kind != e.Kind {
		if e.Kind != Other {
			add(e.Kind.String())
		}
	}
	if e.Err != nil {
		if k, ok := e.Err.(Kind); !ok || k != e.Kind {
			add(e.Err.Error())
		}
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches a Kind: only the outermost *Error's kind counts.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// KindOf is the kind of the outermost *Error or Kind in err's chain, Other if there is none.
func KindOf(err error) Kind {
	switch e := err.(type) { // as most often; errors.As would make a variable for its answer
	case nil:
		return Other
	case *Error:
		return e.Kind
	case Kind:
		return e
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	return Other
}
