// Package history keeps the runs of honeyant bench and says what changed between them.
//
// A history is a directory with one append-only file per machine, so that machines which share
// the directory, in a volume of the colony for instance, never write to one another's file.
// doc/format/history.md is the format.
//
// Comparing is done without assuming any distribution: the ratio of two groups of samples with
// its confidence interval is the Hodges-Lehmann estimate on logarithms with the exact ranks of
// Mann and Whitney. What differs in more than one respect (distribution and plan, say) is not
// compared unless forced, because nobody could tell what the difference comes from.
//
// Invariants:
//
//	H1  Append returns after the run is on stable storage; a run that was cut off by a crash is
//	    never read, and the next Append removes it.
//	H2  What was appended is never changed or removed. A damaged line costs that run only, and is told.
//	H3  Two appenders to one file never mix their bytes: each holds the file's lock.
//	H4  A difference is called proven only if its 95 % interval excludes 1, and none is with
//	    fewer than four samples a side.
package history
