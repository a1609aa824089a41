// Package metatest holds a reference model of the POSIX side of meta and random histories that
// compare an implementation with it: replies, kinds of errors, and after every stretch the
// whole tree with contents, holes, attributes, ACLs and locks.
//
// The model is simple on purpose: maps for directories, a byte slice and a bit a byte for a
// file's content, an array for locks. It shares no code with meta but the operations.
//
//	T1  Whatever the model answers, the implementation answers: same kind of error, same attributes. [27]
//	T2  What a program wrote, cut, punched or cloned reads back byte by byte, holes included. [13, 24]
//	T3  After every history meta.Check finds nothing, if the target offers it. [24]
package metatest
