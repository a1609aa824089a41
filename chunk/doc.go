// Package chunk keeps immutable chunks of bytes in one directory: append-only segment
// files, an index in memory, and nothing acknowledged before it is on stable storage.
// doc/format/segment.md is the format and the order of writes and syncs.
//
// It does not know which chunks somebody needs: it keeps what was put until a Delete
// that names the generation. Who may delete, and when, is decided above (rules 5, 10, 12).
//
// Invariants:
//
//	C1  Commit and Delete return nil only after an fdatasync that covers them [8].
//	C2  A generation is never used twice in a store; Delete touches only the one it names [5].
//	C3  A chunk ID never has two contents: a put with another checksum is refused, with the
//	    same one it succeeds, after the present record was read back whole [6].
//	C4  A place is found again after a crash whatever happened to its neighbours; bytes of
//	    users are never taken for records [7].
//	C5  A dead mark is on stable storage before the body is punched; header and state are
//	    never punched [8].
//	C6  After a failed write or sync nothing is retried, all that waited fail, and the store
//	    is failing until it is opened anew [9].
//	C7  A read gives bytes that passed their frame's CRC, seeded with chunk ID and frame
//	    number, or an error [36].
//	C8  Never more than the capacity is allocated, a twentieth of it stays free, and deletes
//	    need no space.
//	C9  Records with flags or versions from the future make the store read-only [34].
//
// Locks: Store.mu guards all that is in memory and is never held across I/O; syncGroup.mu
// is a leaf and never held together with Store.mu. The grow, identity and sidecar tokens each put one kind of
// I/O in a row; they are taken without any lock held, in the order sidecar, grow, identity.
package chunk
