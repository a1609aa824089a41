package node

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/honeyant/honeyant"
)

// installer is a way of installing packages.
type installer struct {
	name    string   // column of packageNames
	program string   // that must be there for it to be used
	line    string   // %s is the packages
	ids     []string // of /etc/os-release that use it
}

// installers in the order in which one is chosen: dnf before yum, where both are there.
func installers() []installer {
	return []installer{
		{"apt", "apt-get", "apt-get update && apt-get install -y %s", []string{"debian", "ubuntu", "raspbian", "linuxmint"}},
		{"dnf", "dnf", "dnf install -y %s", []string{"fedora", "rhel", "centos", "rocky", "almalinux", "ol", "amzn"}},
		{"dnf", "yum", "yum install -y %s", []string{"fedora", "rhel", "centos", "rocky", "almalinux", "ol", "amzn"}},
		{"apk", "apk", "apk add %s", []string{"alpine"}},
		{"zypper", "zypper", "zypper install -y %s", []string{"suse", "opensuse", "sles", "opensuse-leap", "opensuse-tumbleweed"}},
		{"pacman", "pacman", "pacman -Sy --noconfirm %s", []string{"arch", "manjaro"}},
	}
}

// packageNames tells for each thing that people miss what its package is called. dnf
// stands for yum too.
func packageNames() map[string]map[string]string {
	same := func(name string) map[string]string {
		return map[string]string{"apt": name, "dnf": name, "apk": name, "zypper": name, "pacman": name}
	}
	return map[string]map[string]string{
		"cc":       {"apt": "gcc libc6-dev", "dnf": "gcc", "apk": "gcc musl-dev", "zypper": "gcc", "pacman": "gcc"},
		"c++":      {"apt": "g++", "dnf": "gcc-c++", "apk": "g++", "zypper": "gcc-c++", "pacman": "gcc"},
		"go":       {"apt": "golang", "dnf": "golang", "apk": "go", "zypper": "go", "pacman": "go"},
		"make":     same("make"),
		"git":      same("git"),
		"fuse3":    same("fuse3"),
		"ssh":      {"apt": "openssh-client", "dnf": "openssh-clients", "apk": "openssh-client", "zypper": "openssh-clients", "pacman": "openssh"},
		"sshd":     {"apt": "openssh-server", "dnf": "openssh-server", "apk": "openssh-server", "zypper": "openssh-server", "pacman": "openssh"},
		"rsync":    same("rsync"),
		"nfs":      {"apt": "nfs-common", "dnf": "nfs-utils", "apk": "nfs-utils", "zypper": "nfs-client", "pacman": "nfs-utils"},
		"gdb":      same("gdb"),
		"fio":      same("fio"),
		"iperf3":   {"apt": "iperf3", "dnf": "iperf3", "apk": "iperf3", "zypper": "iperf", "pacman": "iperf3"},
		"sysbench": same("sysbench"),
		"openssl":  same("openssl"),
		"chrony":   same("chrony"),
	}
}

// aliases are other words for the things of packageNames.
func aliases() map[string]string {
	return map[string]string{"gcc": "cc", "g++": "c++", "golang": "go", "fuse": "fuse3", "fusermount3": "fuse3", "fusermount": "fuse3",
		"openssh": "ssh", "openssh-client": "ssh", "openssh-server": "sshd", "nfsd": "nfs", "ntp": "chrony"}
}

// distribution is what /etc/os-release says, and how packages are installed there.
type distribution struct {
	name   string
	chosen *installer // nil if unknown
}

// readDistribution reads an os-release file; there tells whether a program is installed.
func readDistribution(path string, there func(program string) bool) distribution {
	d := distribution{name: "unknown distribution"}
	var ids []string
	if f, err := os.Open(path); err == nil {
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			key, value, _ := strings.Cut(s.Text(), "=")
			value = strings.Trim(value, `"'`)
			switch key {
			case "PRETTY_NAME":
				d.name = value
			case "ID", "ID_LIKE":
				ids = append(ids, strings.Fields(value)...)
			}
		}
	}
	fits := func(i installer) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(i.ids, id) })
	}
	for _, rule := range []func(installer) bool{
		func(i installer) bool { return fits(i) && there(i.program) },
		fits,
		func(i installer) bool { return len(ids) == 0 && there(i.program) },
	} {
		for _, i := range installers() {
			if rule(i) {
				d.chosen = &i
				return d
			}
		}
	}
	return d
}

func isInstalled(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

func thisDistribution() distribution { return readDistribution("/etc/os-release", isInstalled) }

// packageLine is the command that installs things; several lines where the distribution is
// unknown, since one of them fits.
func (d distribution) packageLine(things ...string) string {
	if d.chosen != nil {
		return d.chosen.packageLine(things)
	}
	var lines []string
	for _, i := range installers() {
		lines = append(lines, i.packageLine(things))
	}
	return "one of:  " + strings.Join(lines, "  |  ")
}

func (i installer) packageLine(things []string) string {
	var packages []string
	for _, thing := range things {
		name := packageNames()[thing][i.name]
		if name == "" {
			name = thing
		}
		packages = append(packages, name)
	}
	return fmt.Sprintf(i.line, strings.Join(packages, " "))
}

// PackageLine is the command that installs a program here: "cc", "go", "sshd". Errors:
// NotExist with the list of those that are known.
func PackageLine(thing string) (string, error) {
	name := strings.ToLower(thing)
	if other, ok := aliases()[name]; ok {
		name = other
	}
	if packageNames()[name] == nil {
		known := []string{}
		for k := range packageNames() {
			known = append(known, k)
		}
		slices.Sort(known)
		return "", honeyant.E("node.PackageLine", honeyant.Invalid, thing, errors.New("not known here; known are "+strings.Join(known, ", ")))
	}
	return thisDistribution().packageLine(name), nil
}

// checkTools tells which of the programs that some measurements want are not there. None
// is needed for the colony itself.
func checkTools(d distribution) Finding {
	var lacking []string
	for _, tool := range []struct{ thing, program string }{{"go", "go"}, {"cc", "cc"}, {"ssh", "ssh"}} {
		if !isInstalled(tool.program) {
			lacking = append(lacking, tool.thing)
		}
	}
	if len(lacking) == 0 {
		return Finding{Subject: "tools", Level: Good, Text: "everything that honeyant bench can use is there"}
	}
	return Finding{Subject: "tools", Level: Note, Mend: d.packageLine(lacking...),
		Text: "not installed: " + strings.Join(lacking, ", ") + "; only some measurements of honeyant bench want them"}
}
