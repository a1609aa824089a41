// Package life keeps the gateway's listening sockets, its process and the processes it starts
// from getting into one another's way.
//
// What it guarantees:
//
//  1. A listening socket that is handed on (to a newer configuration, to a successor process, or
//     by systemd) is the same socket with the same queue: no connection that the kernel has
//     accepted is lost in the change, which closing one SO_REUSEPORT socket beside another can not promise.
//  2. A signal goes to the process that was meant: a process is a pid with the moment of its start, and is
//     signalled through a pidfd (pidfd_open(2)), so that a number used again is never hit.
//  3. Every wait has a limit: stopping escalates (TERM, INT, KILL), a successor that is not
//     ready in time is ended, and connections still open after the drain limit are closed.
//  4. A port that is taken is reported with the process that holds it.
//  5. A child ends with its parent (PR_SET_PDEATHSIG) and takes its own children along (a cgroup
//     where one may be made, else its process group).
//
// It knows nothing of HTTP or Caddy. Linux only.
package life
