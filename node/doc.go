// Package node builds one machine's part of a colony out of all the other packages, opens
// it, runs it and closes it. It is the only package that sees everything: what packages of
// one layer need of each other is joined here and nowhere else.
//
// A node is a directory with an identity, a configuration, one or more stores, and perhaps
// metadata; while Open, it is a port, a command socket, and mounts.
//
// Invariants:
//
//	N1  One daemon per directory: the directory is locked while the node is open.
//	N2  Open builds from the bottom up and Close takes down from the top: mounts, front
//	    ends, leadership, consensus, stores, network. Both may be called at any moment.
//	N3  What must not go on after a fault (the metadata role halted, the incarnation was
//	    superseded) ends the node: Failed is closed and Fault tells why.
//	N4  Every wait in here has a deadline.
package node
