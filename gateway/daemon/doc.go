// Package daemon is the gateway's process around Caddy: it makes Caddy's configuration from a file or from a few
// flags, lets Caddy listen on sockets that outlive configurations and processes, and carries out
// reload, upgrade and stop without losing a request.
//
// Guarantees:
//
//  1. A configuration that can not be read, adapted or started leaves the one before in use.
//  2. Caddy's own administration is off unless the configuration asks for it; the gateway is steered over
//     the Unix socket of package control.
//  3. Before connections are closed for a reload, an upgrade or a stop, they are told so ("Connection: close",
//     GOAWAY) with their next response, so that no client sends a request into a closing connection.
//  4. Stopping takes no longer than Options.Drain and a second.
//
// Caddy keeps its running configuration for the whole process, so there can be one Run at a time.
package daemon
