// Package volumetest lends tests a cluster in memory (real metadata operations on one leader, stores
// that can be made to fail) and the suite of behaviour that every way into a volume must show: the
// volume's API as well as a mounted path, through the small interface FS.
package volumetest
