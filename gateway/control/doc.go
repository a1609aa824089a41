// Package control is how people look into a running gateway and steer it: a server on a Unix socket that only its
// owner may open, and the client of the command line.
//
// Every gateway process listens in one directory, on a socket named after its pid and the moment of its start,
// and the symlink "current" names the one that accepts new connections. So a hand-over is one rename, a process that
// drains can still be asked what it waits for, and one that answers no more can still be stopped, since the name
// of its socket says for certain who it is.
//
// It never listens on TCP. It reads the ledger, and asks a Daemon for all that changes the process.
package control
