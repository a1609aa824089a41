package volume_test

import (
	"testing"
	"time"

	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

func TestSuite(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*volume.Options)
	}{
		{"Default", nil},
		{"LittleMemory", func(o *volume.Options) { o.WriteMemory, o.ReadMemory = 64<<10, 64<<10 }},
		{"ShortInterval", func(o *volume.Options) { o.FlushInterval = time.Millisecond }},
	} {
		t.Run(c.name, func(t *testing.T) {
			volumetest.Suite(t, func(t *testing.T) (a, b volumetest.FS) {
				cluster := volumetest.NewCluster(t, 3, 1<<30)
				return volumetest.OverVolume(cluster.Open(t, c.change)), volumetest.OverVolume(cluster.Open(t, c.change))
			})
		})
	}
}

func TestSuiteOneVolume(t *testing.T) {
	volumetest.Suite(t, func(t *testing.T) (a, b volumetest.FS) {
		fs := volumetest.OverVolume(volumetest.NewCluster(t, 1, 1<<30).Open(t, nil))
		return fs, fs
	})
}

// The suite is a statement about any POSIX file system: it must hold for the one of this machine.
func TestSuiteOnLocalDisk(t *testing.T) {
	volumetest.Suite(t, func(t *testing.T) (a, b volumetest.FS) {
		fs := volumetest.OverPath(t.TempDir())
		return fs, fs
	})
}
