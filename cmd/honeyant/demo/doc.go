// Package demo runs a colony of three on one machine and kills parts of it: three real
// daemons as processes of their own on 127.0.0.x, real files copied in through one mount and
// compared through another, a killed storage node, a killed leader, and a count of what was lost.
//
// It uses the daemons only as a person would: the honeyant program, its mounts, its JSON.
package demo
