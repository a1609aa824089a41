package clustertest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/honeyant/honeyant/clustertest"
)

// registerOp writes a value to a small file, from open to close, or reads it.
type registerOp struct {
	file  int
	write bool
	value int
}

// registerSizes are the lengths of the files: content in the inode, and in a chunk.
var registerSizes = []int{8, 3000, 6000, 100_000}

func registerContent(file, value int) []byte {
	word := fmt.Appendf(nil, "%07d ", value)
	return bytes.Repeat(word, registerSizes[file]/len(word))
}

// readRegister tells the value; torn content is an error of its own.
func readRegister(file int, data []byte) (value int, err error) {
	if len(data) < 8 {
		return 0, fmt.Errorf("%d bytes", len(data))
	}
	if _, err := fmt.Sscanf(string(data[:7]), "%d", &value); err != nil {
		return 0, err
	}
	if !bytes.Equal(data, registerContent(file, value)) {
		return 0, errors.New("two writes are mixed")
	}
	return value, nil
}

var registerModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, len(registerSizes))
		for _, op := range all {
			f := op.Input.(registerOp).file
			parts[f] = append(parts[f], op)
		}
		return parts
	},
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		in := input.(registerOp)
		if in.write {
			return true, in.value
		}
		return output.(int) == state.(int), state
	},
	DescribeOperation: func(input, output any) string {
		in := input.(registerOp)
		if in.write {
			return fmt.Sprintf("f%d := %d (%v)", in.file, in.value, output)
		}
		return fmt.Sprintf("f%d -> %v", in.file, output)
	},
}

// Promise 1 as a law: files written from open to close and read on other nodes behave as if all
// that happened one after another, whatever dies or is cut meanwhile.
func TestRegistersAreLinearizable(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		for f := range registerSizes {
			if err := (clustertest.Files{Host: c.Host(1)}).Create(context.Background(), fmt.Sprintf("f%d", f), registerContent(f, 0)); err != nil {
				t.Fatal(err)
			}
		}
		var h history
		var values atomic.Int64
		records := map[int]*recorder{}
		for i := range 3 {
			records[i+1] = h.recorder()
		}
		// One client a node: on one node a write is seen by others before its close, as on any local file system.
		clients(c, 1, func(host *clustertest.Host, rng *rand.Rand, number int) {
			ctx, cancel := patience(rng)
			defer cancel()
			f, file := clustertest.Files{Host: host}, rng.IntN(len(registerSizes))
			name := fmt.Sprintf("f%d", file)
			if rng.IntN(2) == 0 {
				value := int(values.Add(1))
				records[number].op(registerOp{file, true, value}, false, func() (any, bool) {
					err := f.Overwrite(ctx, name, registerContent(file, value))
					return nil, err == nil // an error of close says that it is not certain
				})
				return
			}
			records[number].op(registerOp{file: file}, true, func() (any, bool) {
				data, err := f.Get(ctx, name)
				if err != nil {
					if !unknown(err) {
						t.Errorf("read on %v: %v", host.ID, err)
					}
					return nil, false
				}
				value, err := readRegister(file, data)
				if err != nil {
					t.Errorf("%s on %v: %v", name, host.ID, err)
					return nil, false
				}
				return value, true
			})
		}, func() { trouble(c, 8) })
		h.check(t, registerModel)
		fsck(c)
	})
}
