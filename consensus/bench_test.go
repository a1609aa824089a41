package consensus_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
)

// realDisks puts each node's files into a directory of its own, with real syncs.
func realDisks(b *testing.B, n int) *cluster {
	c := newCluster(b)
	top := b.TempDir()
	b.Cleanup(c.stopAll) // before the directory goes
	for id := honeyant.NodeID(1); int(id) <= n; id++ {
		dir := filepath.Join(top, id.String())
		c.nodes[id] = &member{id: id, root: dir + "/", fs: vfs.Default, halted: make(chan error, 1), leads: make(chan bool, 64)}
		if err := vfs.Default.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	nodes := c.nodes
	c.nodes = map[honeyant.NodeID]*member{1: nodes[1]}
	first := c.start(1)
	if err := first.node.Bootstrap(); err != nil {
		b.Fatal(err)
	}
	c.leader()
	for id := honeyant.NodeID(2); int(id) <= n; id++ {
		c.nodes[id] = nodes[id]
		c.start(id)
		c.addLearner(id)
	}
	for id := honeyant.NodeID(2); int(id) <= n; id++ {
		if err := c.leader().node.Promote(c.ctx(), id); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

func BenchmarkPropose(b *testing.B) {
	for _, nodes := range []int{1, 3} {
		for _, callers := range []int{1, 64} {
			for _, size := range []int{300, 16 << 10} {
				b.Run(fmt.Sprintf("nodes=%d/callers=%d/size=%d", nodes, callers, size), func(b *testing.B) {
					c := realDisks(b, nodes)
					lead := c.leader()
					b.SetBytes(int64(size))
					b.ResetTimer()
					var wg sync.WaitGroup
					for i := range callers {
						wg.Go(func() {
							for j := i; j < b.N; j += callers {
								if _, err := lead.node.Propose(make([]byte, size))(); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					wg.Wait()
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cmds/s")
				})
			}
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := realDisks(b, 3)
			lead := c.leader()
			ctx := c.ctx()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					for j := i; j < b.N; j += callers {
						if err := lead.node.Verify(ctx); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
