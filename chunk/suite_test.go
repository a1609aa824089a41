package chunk_test

import (
	"testing"

	"github.com/honeyant/honeyant/chunk/chunktest"
	"github.com/honeyant/honeyant/disk"
)

func TestSuite(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		chunktest.Suite(t, func(testing.TB) disk.FS { return disk.NewMemory(0) })
	})
	t.Run("memory without holes", func(t *testing.T) {
		chunktest.Suite(t, func(testing.TB) disk.FS { return disk.NewMemory(0).WithoutHoles() })
	})
	t.Run("dir", func(t *testing.T) {
		chunktest.Suite(t, func(t testing.TB) disk.FS {
			fs, err := disk.OpenDir(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return fs
		})
	})
}
