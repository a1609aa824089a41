package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPackageLineOfEachDistribution(t *testing.T) {
	for _, c := range []struct {
		name, release string
		there         []string
		thing, want   string
	}{
		{"Debian", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n", []string{"apt-get"}, "cc", "apt-get update && apt-get install -y gcc libc6-dev"},
		{"Ubuntu", "ID=ubuntu\nID_LIKE=debian\n", []string{"apt-get"}, "go", "apt-get update && apt-get install -y golang"},
		{"Fedora", "ID=fedora\n", []string{"dnf", "yum"}, "c++", "dnf install -y gcc-c++"},
		{"Amazon Linux 2", "ID=\"amzn\"\nID_LIKE=\"centos rhel fedora\"\n", []string{"yum"}, "c++", "yum install -y gcc-c++"},
		{"Amazon Linux 2023", "ID=\"amzn\"\nID_LIKE=\"fedora\"\n", []string{"dnf", "yum"}, "ssh", "dnf install -y openssh-clients"},
		{"CentOS 7", "ID=\"centos\"\nID_LIKE=\"rhel fedora\"\n", []string{"yum"}, "nfs", "yum install -y nfs-utils"},
		{"Rocky", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", []string{"dnf", "yum"}, "sshd", "dnf install -y openssh-server"},
		{"Alpine", "ID=alpine\n", []string{"apk"}, "cc", "apk add gcc musl-dev"},
		{"openSUSE", "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", []string{"zypper"}, "iperf3", "zypper install -y iperf"},
		{"Arch", "ID=arch\n", []string{"pacman"}, "fuse3", "pacman -Sy --noconfirm fuse3"},
		{"Debian without its program in the path", "ID=debian\n", nil, "rsync", "apt-get update && apt-get install -y rsync"},
		{"nothing said, apk there", "", []string{"apk"}, "go", "apk add go"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "os-release")
			if err := os.WriteFile(path, []byte(c.release), 0o600); err != nil {
				t.Fatal(err)
			}
			d := readDistribution(path, func(p string) bool { return slices.Contains(c.there, p) })
			if got := d.packageLine(c.thing); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestUnknownDistributionGetsEveryLine(t *testing.T) {
	d := readDistribution(filepath.Join(t.TempDir(), "none"), func(string) bool { return false })
	line := d.packageLine("cc")
	for _, want := range []string{"apt-get install -y gcc libc6-dev", "dnf install -y gcc", "yum install -y gcc", "apk add gcc musl-dev", "zypper install -y gcc", "pacman -Sy --noconfirm gcc"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
}

func TestEveryPackageHasANameEverywhere(t *testing.T) {
	for thing, names := range packageNames() {
		for _, i := range installers() {
			if names[i.name] == "" {
				t.Errorf("%s has no package name for %s", thing, i.name)
			}
		}
	}
	for word, thing := range aliases() {
		if packageNames()[thing] == nil {
			t.Errorf("%s stands for %s, which is not known", word, thing)
		}
	}
}
