// Package namespaces proves the daemon as it is shipped: real processes of the real binary,
// each in a network namespace of its own with a disk of its own (an ext4 image), mounted,
// killed, cut off, filled, slowed and robbed of their power.
//
// Everything is made by the tests and has names with the test's process ID, so that runs do
// not meet. A shell that waits for the end of the test process takes everything away again,
// however the process ended.
//
// HONEYANT_BIN names the binary; without it one is built. HONEYANT_NS_KEEP keeps the
// directories, logs included. What the machine lacks (root, /dev/fuse, ip, losetup, mkfs.ext4)
// is said by skipped tests.
//
// Invariants proven here:
//  1. What was closed or fsynced is whole on every other node, whoever is killed [1, 2].
//  2. Those who keep a quorum wait at most 5 s when anybody else dies or falls silent [4].
//  3. Nothing waits for ever, and umount always works [11, 28].
//  4. A full disk is ENOSPC, and deleting frees space again [9, 26].
//  5. The memory table holds in a cgroup that would kill the daemon otherwise [37].
package namespaces
