// Package systemd boots systemd in a container over this machine's own files and runs the units of dist/ there: started,
// reloaded, killed, upgraded, stopped, activated by their socket.
package systemd
