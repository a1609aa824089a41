// Package transfer copies files and trees between directories, mounts and machines
// reached over ssh: in parallel, so that it can be stopped and taken up again, and so
// that what arrives is read back and compared. It is what `honeyant cp` runs.
//
// A copy has a source and a target. Each is a tree of this machine (tree.go), a tree
// that a second honeyant at the other end of an ssh connection works on (peer.go,
// remote.go), or, where no honeyant is installed, one reached by SFTP (sftp.go). The
// wire and the file that remembers a copy under way are described in doc/format/cp.md.
//
// Invariants:
//
//	T1  A name in the target stands for its old content or for the whole new content, at
//	    every moment and after a power cut: content is written beside, synced, read back,
//	    and renamed over [target.go].
//	T2  A part counts as copied only after the bytes on the target were read and have the
//	    checksum that was taken where the source was read.
//	T3  Nothing is written into the source: a target that is the source or lies in it, by
//	    whatever route, is refused before the first change to a file [same.go, probe.go].
//	T4  Nothing outside the target is touched: names that come from another machine are
//	    single path elements, and no symbolic link below the root is followed [tree.go].
//	T5  A copy that was interrupted, even by kill -9, goes on when the same command is
//	    given again, and fetches no part again that is there and sound [parts.go].
//
// Content that changes while it is copied is an error of that file, never a mixture of
// two states under its name.
package transfer
