// Package selftest plays thirty faults through a reverse proxy, as origin, as client and as operating system, and says for each
// what the client saw, what the origin saw, what the gateway logged, and whether it was over in time.
//
// The proxy may be anything that passes six path prefixes to the six ports of Origin: this gateway, started for the
// occasion or running with its owner's configuration, or nginx, HAProxy or Caddy for comparison (see Config). All
// faults run at the same time, so the whole takes as long as the longest limit. Nothing is changed in the
// proxy, and nothing listens but on the address asked for.
//
// What counts as survived: the fault is over within its limit on both sides, nothing incomplete is passed
// off as complete, and nothing of one response gets into another.
package selftest
