// Package colony is the colony's volume as the gateway sees it: a file system to serve sites
// from, and a storage for certificates with locks that the whole colony sees, so that any node
// may answer for any site. It reaches the volume through the daemon's socket (volume/fileapi).
//
// Invariants:
//
//	Y1  No call waits longer than its limit; a daemon that is down is an error at once.
//	Y2  A response never mixes two versions of a file: a read of a file that was replaced
//	    meanwhile is cut off.
//	Y3  The fraction of a second in a file's time of modification is made of its version, so
//	    that an ETag made of time and size changes with every change.
package colony
