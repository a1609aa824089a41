package mountinfo_test

import (
	"slices"
	"testing"

	"github.com/honeyant/honeyant/internal/mountinfo"
)

func TestParse(t *testing.T) {
	const text = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 22 98:1 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/with\040space rw,errors=continue
37 22 0:52 /a\134b /mnt/a\040b\134c rw,nosuid,nodev - fuse.honeyant honeyant rw,user_id=0
38 22 0:53 / /mnt/odd\0 rw - tmpfs  rw
rubbish
39 22 x:y / /bad rw - tmpfs tmpfs rw
x 22 0:54 / /bad rw - tmpfs tmpfs rw
40 22 0:55 / /bad rw tmpfs tmpfs rw
`
	want := []mountinfo.Mount{
		{ID: 22, Parent: 1, Major: 254, Root: "/", Point: "/", Type: "ext4", Source: "/dev/vda"},
		{ID: 36, Parent: 22, Major: 98, Minor: 1, Root: "/mnt1", Point: "/mnt2", Type: "ext3", Source: "/dev/with space"},
		{ID: 37, Parent: 22, Minor: 52, Root: `/a\b`, Point: `/mnt/a b\c`, Type: "fuse.honeyant", Source: "honeyant"},
		{ID: 38, Parent: 22, Minor: 53, Root: "/", Point: `/mnt/odd\0`, Type: "tmpfs"},
	}
	got := mountinfo.Parse(text)
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got[1].Device() != "98:1" {
		t.Errorf("device %q", got[1].Device())
	}
}

func TestReadFindsTheRoot(t *testing.T) {
	all, err := mountinfo.Read()
	if err != nil || !slices.ContainsFunc(all, func(m mountinfo.Mount) bool { return m.Point == "/" }) {
		t.Errorf("%d mounts without /, %v", len(all), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("36 22 0:52 / /mnt/a\\040b rw - fuse.honeyant honeyant rw\n")
	f.Add("\\ \\1 - ")
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range mountinfo.Parse(text) {
			if m.Point == "" || m.Root == "" || m.Type == "" {
				t.Errorf("%+v", m)
			}
		}
	})
}
