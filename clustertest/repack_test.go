package clustertest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/clustertest"
)

// Files that were written together and mostly deleted give their space back, though the node that wrote them goes on
// holding them exclusively: it asks anew when the old packs are gone, and nobody reads anything else than before. A
// leader that is killed in between leaves the rest to the next one.
func TestPacksAreRewritten(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		const files, size = 400, 20_000
		writer := c.Leader().ID%3 + 1
		ctx := context.Background()
		at := clustertest.Files{Host: c.Host(writer), Unsynced: true}
		made := map[string][]byte{}
		for i := range files {
			p := fmt.Sprintf("f%d", i)
			made[p] = fmt.Appendf(make([]byte, 0, size), "%s %d", p, c.Rand.Uint64())
			for len(made[p]) < size {
				made[p] = append(made[p], byte(c.Rand.Uint32()))
			}
			if err := at.Create(ctx, p, made[p]); err != nil {
				t.Fatal(err)
			}
		}
		if err := at.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		packs := status(c).Chunks.Total
		if packs == 0 || packs > files/4 {
			t.Fatalf("%d files are in %d chunks: no packs", files, packs)
		}
		for i := range files {
			if p := fmt.Sprintf("f%d", i); i%5 != 0 {
				if err := at.Remove(ctx, p); err != nil {
					t.Fatal(err)
				}
				delete(made, p)
			}
		}
		if err := at.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		var sparse uint64
		c.Eventually("the packs are known to be sparse", time.Minute, func() bool {
			sparse = status(c).Chunks.Sparse
			return sparse > packs/2
		})
		killed := c.Leader().ID
		c.Kill(killed)
		var s admin.Status
		c.Eventually("they are rewritten", 15*time.Minute, func() bool {
			s = status(c)
			return s.Chunks.Sparse <= 1 && s.Chunks.Rewritten > 0 // the last one may still be the writer's
		})
		if killed != writer {
			if held := c.Host(writer).Volume().Stats().Journal.Held; held < len(made) {
				t.Errorf("the writer holds %d of %d files: its memory of the old packs is not put to the test", held, len(made))
			}
		}
		c.Start(killed)
		c.Eventually("the old packs are deleted", 15*time.Minute, func() bool { return status(c).Chunks.Dead == 0 })
		t.Logf("%d packs of %d files, %d sparse; %d rewritten, %d bytes freed, %d chunks left",
			packs, files, sparse, s.Chunks.Rewritten, s.Chunks.Freed, status(c).Chunks.Total)
		same(c, writer, made)
		same(c, writer%3+1, made)
		fsck(c)
	})
}
