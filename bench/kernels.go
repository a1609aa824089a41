package bench

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"slices"
)

// kernel is a piece of everyday work; each thread has its own. An error never happens with
// the bundled input, so make checks it once.
type kernel struct {
	name string
	// reference is the rate on one processor of the reference machine (a shared 2-vCPU VM
	// of 2026), which the score of 1000 stands for; 0 keeps the kernel out of the score.
	reference float64
	make      func() (op func() float64, err error)
}

func kernels() []kernel {
	return []kernel{
		{"sort", 250, sortKernel},
		{"json", 2600, jsonKernel},
		{"float", 520, floatKernel},
		{"regexp", 660, regexpKernel},
		{"primes", 0, primesKernel},
	}
}

func sortKernel() (func() float64, error) {
	r := rand.New(rand.NewPCG(1, 2))
	shuffled, work := make([]uint64, 1<<16), make([]uint64, 1<<16)
	for i := range shuffled {
		shuffled[i] = r.Uint64()
	}
	return func() float64 {
		copy(work, shuffled)
		slices.Sort(work)
		return 1
	}, nil
}

// parcel is the document of the JSON kernel.
type parcel struct {
	ID    uint64            `json:"id"`
	Name  string            `json:"name"`
	Sizes []int             `json:"sizes"`
	Tags  map[string]string `json:"tags"`
	Price float64           `json:"price"`
}

func jsonKernel() (func() float64, error) {
	words := bytes.Fields(corpus(16 << 10))
	var doc []parcel
	for i := range 100 {
		p := parcel{ID: uint64(i) << 32, Name: string(words[i]), Tags: map[string]string{}, Price: float64(i) * 1.17}
		for j := range 8 {
			p.Sizes = append(p.Sizes, i*j*977)
		}
		for j := range 3 {
			p.Tags[string(words[i+j])] = string(words[i+j+100])
		}
		doc = append(doc, p)
	}
	once := func() error {
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		var back []parcel
		return json.Unmarshal(text, &back)
	}
	return func() float64 {
		if once() != nil {
			return 0
		}
		return 1
	}, once()
}

func floatKernel() (func() float64, error) {
	return func() float64 {
		return 1 + 0*float64(mandelbrot(128, 256)) // the product keeps the work from being left out
	}, nil
}

// mandelbrot counts the rounds over a picture of size×size points.
func mandelbrot(size, rounds int) (sum int) {
	for py := range size {
		for px := range size {
			cx, cy := float64(px)/float64(size)*3-2, float64(py)/float64(size)*3-1.5
			x, y := 0.0, 0.0
			for i := range rounds {
				x2, y2 := x*x, y*y
				if x2+y2 > 4 {
					break
				}
				x, y = x2-y2+cx, 2*x*y+cy
				sum += i & 1
			}
		}
	}
	return sum
}

func regexpKernel() (func() float64, error) {
	text := corpus(64 << 10)
	address, err := regexp.Compile(`[a-z]+@[a-z]+\.example`)
	if err != nil {
		return nil, err
	}
	return func() float64 {
		if len(address.FindAllIndex(text, -1)) == 0 {
			return 0
		}
		return 1
	}, nil
}

// primesKernel is an event of `sysbench cpu --cpu-max-prime=10000`: cpu_execute_event in
// sysbench 1.0's sb_cpu.c divides every number up to the limit by all up to its root.
func primesKernel() (func() float64, error) {
	return func() float64 {
		n := uint64(0)
		for c := uint64(3); c < 10000; c++ {
			l := uint64(2)
			for ; l*l <= c; l++ {
				if c%l == 0 {
					break
				}
			}
			if l*l > c {
				n++
			}
		}
		if n == 0 {
			return 0
		}
		return 1
	}, nil
}
