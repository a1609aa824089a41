// Package bench measures what a machine can do: its processor, memory, random numbers,
// ciphers, TLS, disk, process creation, compilers, network, ssh and file systems.
//
// It needs nothing that is installed, leaves nothing behind, and says with each figure how
// it came about: method, samples, median, spread, and what else the machine was doing.
// Package bench/pair measures the way between two nodes; bench/history keeps runs and
// compares them. What a figure is worth is the affair of package advice.
//
// Invariants:
//
//	B1  No figure contains the making of its own test data: data are made before the clock starts.
//	B2  Every figure rests on at least 5 samples after a warm-up, or is marked otherwise in Notes.
//	B3  Nothing is written outside the Workspace, and that is gone on every way out; what a
//	    killed run left is removed by the next one.
//	B4  A run uses at most a quarter of the free disk space and of the available memory.
//	B5  What could not be measured is listed in Skipped with the reason; it is never a zero.
//	B6  A figure taken while other programs were busy, or the host stole time, is marked Tainted.
package bench
