// Package config is what one machine is told: its directory, its one commented TOML file,
// its memory table.
//
// The file is <dir>/honeyant.toml. Every key has a default, so an absent file is a complete
// configuration. Load and Validate name every fault at once, each with its line, its key and
// what to do; keys that do not exist are faults, because a typing error must not silently
// become a default.
//
// Invariants (numbers of doc/invariants.md in brackets):
//
//	F1  Two daemons never share a directory: OpenDir holds a lock on it that ends with the
//	    process, however it ends.
//	F2  WriteFile replaces a file whole or not at all.
//	F3  The pools take at most 55 % of the memory cap. [37]
//	F4  Neither the directory nor a store lies inside a FUSE mount, which could be our own. [21]
package config
