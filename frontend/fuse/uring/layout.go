package uring

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

const (
	most   = 1 << 20  // payload, bytes
	least  = 64 << 10 // payload
	wanted = 32       // entries a CPU that are worth smaller payloads
	fewest = 8        // entries a CPU, below which programs wait for each other
	dozing = 2        // entries of a CPU that is not there yet
)

// Layout is how the memory for requests is cut.
type Layout struct {
	Payload  int   // most bytes of a READ or WRITE
	Depth    int   // requests at once of each CPU
	Online   []int // numbers of the CPUs that run
	Possible int   // CPUs that the kernel may ever run; each has a queue
}

// Fit makes a layout whose buffers never take more than memory, in bytes: the largest payload with enough entries for each
// CPU. It fails if there are too many CPUs for so little.
func Fit(memory int) (Layout, error) {
	online, err := cpus("online")
	if err != nil {
		return Layout{}, err
	}
	possible, err := cpus("possible")
	if err != nil {
		return Layout{}, err
	}
	return fit(memory, online, possible[len(possible)-1]+1)
}

func fit(memory int, online []int, possible int) (Layout, error) {
	each := memory / len(online)
	for payload := most; payload >= least; payload /= 2 {
		depth := each / payload
		if depth >= wanted || payload <= 2*least && depth >= fewest {
			return Layout{Payload: payload, Depth: min(depth, 2*wanted), Online: online, Possible: possible}, nil
		}
	}
	return Layout{}, fmt.Errorf("%d bytes are not enough for %d CPUs; raise memory in honeyant.toml", memory, len(online))
}

// depths are the entries of each CPU. A CPU that does not run needs some, too: the kernel begins when all queues have any.
func (l Layout) depths() []int {
	all := make([]int, l.Possible)
	for i := range all {
		all[i] = dozing
	}
	for _, cpu := range l.Online {
		all[cpu] = l.Depth
	}
	return all
}

// cpus reads a list of CPUs in ascending order, such as 0-3,8.
func cpus(which string) ([]int, error) {
	raw, err := os.ReadFile("/sys/devices/system/cpu/" + which)
	if err != nil {
		return nil, err
	}
	return parseCPUs(strings.TrimSpace(string(raw)))
}

func parseCPUs(list string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(list, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || a < 0 || b < a || b >= 1<<16 || len(all) > 0 && a <= all[len(all)-1] {
			return nil, fmt.Errorf("%q is no list of CPUs", list)
		}
		for cpu := a; cpu <= b; cpu++ {
			all = append(all, cpu)
		}
	}
	return all, nil
}

// Processors is what runtime.GOMAXPROCS should be in a process that serves over rings: one for each thread that waits in a ring
// and one for each CPU. With fewer, a thread that comes back from its ring waits for milliseconds now and then until the scheduler
// has noticed that another one sleeps in the kernel.
func Processors() int { return 2 * runtime.NumCPU() }
