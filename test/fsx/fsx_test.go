package fsx_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/honeyant/honeyant/test/fsx"
)

// TestFSX runs on the directories of HONEYANT_FSX_DIRS (separated by colons), or on the local
// disk, which proves the model; HONEYANT_FSX_SEED repeats a run, HONEYANT_FSX_OPS sets its length.
func TestFSX(t *testing.T) {
	dirs := strings.Split(os.Getenv("HONEYANT_FSX_DIRS"), ":")
	if dirs[0] == "" {
		dirs = []string{t.TempDir()}
	}
	seed, err := strconv.ParseUint(os.Getenv("HONEYANT_FSX_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	ops, _ := strconv.Atoi(os.Getenv("HONEYANT_FSX_OPS")) // unset: the default
	fsx.Run(t, dirs, fsx.Options{Seed: seed, Ops: ops})
}

// TestTwoClients lets both clients be the same directory, which must hold as well.
func TestTwoClients(t *testing.T) {
	dir := t.TempDir()
	fsx.Run(t, []string{dir, dir}, fsx.Options{Seed: uint64(time.Now().UnixNano()), Ops: 500, Switch: 5})
}
