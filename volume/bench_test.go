package volume_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// Sequential writing through the volume, in the kernel's portions, over stores in memory.
func BenchmarkSequentialWrite(b *testing.B) {
	for _, size := range []int{128 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size>>10, "K"), func(b *testing.B) {
			c := volumetest.NewCluster(b, 1, 1<<40)
			c.Chunks.Discard(true)
			v := c.Open(b, nil)
			f := create(b, v, "f")
			p := pattern(size, 1)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				write(b, f, p, int64(i%4096)*int64(size))
			}
			closeFile(b, f)
		})
	}
}

// filled is a file of so many bytes, open for reading.
func filled(b *testing.B, size int) *volume.File {
	v := volumetest.NewCluster(b, 1, 1<<40).Open(b, nil)
	f := create(b, v, "f")
	p := pattern(1<<20, 1)
	for off := 0; off < size; off += len(p) {
		write(b, f, p, int64(off))
	}
	closeFile(b, f)
	return open(b, v, "f", volume.OpenFlags{Read: true})
}

func BenchmarkSequentialRead(b *testing.B) {
	const size = 256 << 20
	f := filled(b, size)
	p := make([]byte, 256<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if n, err := f.ReadAt(bg, p, int64(i)*int64(len(p))%size); err != nil || n != len(p) {
			b.Fatal(n, err)
		}
	}
	closeFile(b, f)
}

// create, write 4 KiB, close: what an unpacked source tree does most.
func BenchmarkSmallFile(b *testing.B) {
	for _, size := range []int{4 << 10, 20 << 10} {
		b.Run(fmt.Sprint(size>>10, "K"), func(b *testing.B) {
			c := volumetest.NewCluster(b, 1, 1<<40)
			v := c.Open(b, nil)
			p := pattern(size, 1)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				f := create(b, v, fmt.Sprint("f", i))
				write(b, f, p, 0)
				closeFile(b, f)
			}
		})
	}
}

// The same in a directory that is held, with all that a kernel asks for: what a mount spends on it besides requests.
func BenchmarkSmallFileHeld(b *testing.B) {
	c := volumetest.NewCluster(b, 1, 1<<40)
	c.Chunks.Discard(true)
	v, _ := c.OpenLeased(b, nil)
	p := pattern(4<<10, 1)
	var dir honeyant.Ino
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%1000 == 0 {
			dir = mkdir(b, v, honeyant.RootIno, fmt.Sprint("d", i))
		}
		name := fmt.Sprint("f", i)
		if _, err := v.Lookup(bg, dir, name); !errors.Is(err, honeyant.NotExist) {
			b.Fatal(err)
		}
		if _, err := v.GetAttr(bg, dir); err != nil {
			b.Fatal(err)
		}
		a, f, err := v.Create(bg, volume.NewNode{Parent: dir, Name: name, Mode: 0o644}, volume.OpenFlags{Write: true}, true)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := v.GetXattr(bg, a.Ino, "security.capability"); !errors.Is(err, honeyant.NoAttr) {
			b.Fatal(err)
		}
		write(b, f, p, 0)
		closeFile(b, f)
	}
}

func BenchmarkRandomRead4K(b *testing.B) {
	f := filled(b, 64<<20)
	p := make([]byte, 4<<10)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := f.ReadAt(bg, p, int64(i*7919%16384)*4096); err != nil {
			b.Fatal(err)
		}
	}
	closeFile(b, f)
}

func BenchmarkGetAttr(b *testing.B) {
	v := volumetest.NewCluster(b, 1, 1<<40).Open(b, nil)
	for b.Loop() {
		if _, err := v.GetAttr(bg, honeyant.RootIno); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkListRemembered lists a large directory that is remembered whole.
func BenchmarkListRemembered(b *testing.B) {
	const files = 20_000
	c := volumetest.NewCluster(b, 1, 1<<40)
	maker := c.Open(b, nil)
	dir := mkdir(b, maker, honeyant.RootIno, "d")
	for i := range files {
		if _, err := maker.Make(bg, volume.NewNode{Parent: dir, Name: fmt.Sprint(i), Mode: honeyant.ModeFile}); err != nil {
			b.Fatal(err)
		}
	}
	v, s := c.OpenLeased(b, func(o *volume.Options) { o.NameMemory = 64 << 20 })
	names(b, v, dir)
	asked := s.All()
	for b.Loop() {
		if n := len(names(b, v, dir)); n != files {
			b.Fatal(n)
		}
	}
	if n := s.All() - asked; n > 0 {
		b.Fatal(n, "requests")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/name")
}
