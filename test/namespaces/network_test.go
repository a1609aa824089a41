package namespaces_test

import (
	"fmt"
	"os/exec"
	"strings"
)

// network is one bridge in a namespace of its own, with one namespace a machine behind it.
type network struct{ prefix string }

func address(i int) string  { return fmt.Sprintf("10.78.0.%d", i+1) }
func hardware(i int) string { return fmt.Sprintf("02:78:00:00:00:%02x", i+1) }

func (n network) bridge() string         { return n.prefix + "-br" }
func (n network) namespace(i int) string { return fmt.Sprintf("%s-n%d", n.prefix, i+1) }

// open makes the network for count machines. Neighbours are permanent: a cut cable is a black
// hole that nobody reports, as behind a router.
func (n network) open(count int) error {
	br := n.bridge()
	script := []string{
		"netns add " + br,
		"-n " + br + " link add br0 type bridge",
		"-n " + br + " link set br0 up",
	}
	for i := range count {
		ns := n.namespace(i)
		script = append(script,
			"netns add "+ns,
			fmt.Sprintf("-n %s link add p%d type veth peer name eth0 netns %s", br, i, ns),
			fmt.Sprintf("-n %s link set p%d master br0 up", br, i),
			fmt.Sprintf("-n %s link set eth0 address %s", ns, hardware(i)),
			fmt.Sprintf("-n %s addr add %s/24 dev eth0", ns, address(i)),
			fmt.Sprintf("-n %s link set eth0 up", ns),
			fmt.Sprintf("-n %s link set lo up", ns))
		for j := range count {
			if j != i {
				script = append(script, fmt.Sprintf("-n %s neigh replace %s lladdr %s dev eth0 nud permanent", ns, address(j), hardware(j)))
			}
		}
	}
	for _, line := range script {
		if err := ip(line); err != nil {
			return err
		}
	}
	return nil
}

// cut takes the cable of a machine out of the bridge, or puts it in again.
func (n network) cut(i int, out bool) error {
	to := "up"
	if out {
		to = "down"
	}
	return ip(fmt.Sprintf("-n %s link set p%d %s", n.bridge(), i, to))
}

// lose makes what machine i sends to machine j vanish, or arrive again: its neighbour entry
// names a hardware address that nobody has.
func (n network) lose(i, j int, gone bool) error {
	to := hardware(j)
	if gone {
		to = "02:78:ff:ff:ff:ff"
	}
	return ip(fmt.Sprintf("-n %s neigh replace %s lladdr %s dev eth0 nud permanent", n.namespace(i), address(j), to))
}

func ip(args string) error { return command("ip", strings.Fields(args)...) }

// command runs a program of this machine to its end.
func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
