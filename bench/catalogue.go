package bench

import (
	"slices"
	"strings"
)

// Spec describes one measurement: what its name stands for. Method is one sentence for
// people; doc/measuring.md has the whole.
type Spec struct {
	Name   string
	Group  string
	Title  string // "4 KiB random reads, 32 at once"
	Unit   string
	Better Better
	Method string
}

// ofPair tells whether the measurement is of the way between two nodes: package bench/pair makes it.
func (s Spec) ofPair() bool {
	return s.Group == "net" && s.Name != "net.dns" && !strings.HasPrefix(s.Name, "net.loopback.")
}

// Groups lists the groups in the order in which they run.
func Groups() []string {
	return []string{"cpu", "mem", "random", "codec", "tls", "disk", "spawn", "compile", "net", "ssh", "fs", "burst"}
}

// Catalogue lists every measurement there is, grouped, in the order in which they run.
func Catalogue() []Spec {
	return slices.Concat(cpuSpecs(), memSpecs(), randomSpecs(), codecSpecs(), tlsSpecs(), diskSpecs(), spawnSpecs(), compileSpecs(), netSpecs(), sshSpecs(), fsSpecs(), burstSpecs())
}

// Lookup finds a measurement by name.
func Lookup(name string) (Spec, bool) {
	for _, s := range Catalogue() {
		if s.Name == name {
			return s, true
		}
	}
	return Spec{}, false
}

func cpuSpecs() []Spec {
	const g = "cpu"
	return []Spec{
		{"cpu.sort.1", g, "sorting, one thread", "/s", Higher, "pdqsort of 65,536 shuffled 64-bit integers, runs per second"},
		{"cpu.sort.all", g, "sorting, all threads", "/s", Higher, "the same on every processor at once"},
		{"cpu.json.1", g, "JSON, one thread", "/s", Higher, "encode and decode one document of 20 KB"},
		{"cpu.json.all", g, "JSON, all threads", "/s", Higher, "the same on every processor at once"},
		{"cpu.float.1", g, "floating point, one thread", "/s", Higher, "Mandelbrot set, 128×128, at most 256 rounds per point"},
		{"cpu.float.all", g, "floating point, all threads", "/s", Higher, "the same on every processor at once"},
		{"cpu.regexp.1", g, "regular expressions, one thread", "/s", Higher, "find all addresses in 64 KiB of log text"},
		{"cpu.regexp.all", g, "regular expressions, all threads", "/s", Higher, "the same on every processor at once"},
		{"cpu.primes.1", g, "primes, one thread", "/s", Higher, "trial division up to 10,000: one event of sysbench cpu"},
		{"cpu.primes.all", g, "primes, all threads", "/s", Higher, "the same on every processor at once"},
		{"cpu.score.1", g, "score of one processor", "points", Higher, "geometric mean of sort, json, float and regexp over those of a reference machine, times 1000"},
		{"cpu.score.all", g, "score of all processors", "points", Higher, "the same with all processors at work"},
		{"cpu.syscall", g, "system call", "µs", Lower, "getppid in a loop"},
		{"cpu.switch", g, "context switch", "µs", Lower, "a byte back and forth through two pipes between two threads, half a round trip"},
		{"cpu.jitter", g, "timer overrun", "µs", Lower, "99.9th percentile of how much later than asked a sleep of 1 ms ends"},
		{"cpu.steal", g, "time stolen by the host", "%", Lower, "/proc/stat before and after all of the above"},
		{"cpu.clock", g, "clock's correction", "ppm", Lower, "by how much the kernel speeds up or slows down this machine's clock to keep time (adjtimex), without its sign"},
	}
}

func memSpecs() []Spec {
	const g = "mem"
	return []Spec{
		{"mem.copy.1", g, "memory copy, one thread", "GB/s", Higher, "copy between two halves of a buffer beyond the caches; bytes copied, not read plus written"},
		{"mem.copy.all", g, "memory copy, all threads", "GB/s", Higher, "the same, a part of the buffer for each processor"},
		{"mem.latency", g, "memory latency", "ns", Lower, "chase of pointers in one random cycle through the buffer, a cache line each"},
	}
}

func randomSpecs() []Spec {
	const g = "random"
	return []Spec{
		{"random.crypto.1", g, "random numbers for keys, one thread", "MB/s", Higher, "crypto/rand in pieces of 64 KiB"},
		{"random.crypto.all", g, "random numbers for keys, all threads", "MB/s", Higher, "the same on every processor at once"},
		{"random.urandom", g, "/dev/urandom", "MB/s", Higher, "read in pieces of 64 KiB, as dd does"},
		{"random.chacha8", g, "test data", "MB/s", Higher, "the generator that fills the test data before a clock starts (math/rand/v2 ChaCha8)"},
	}
}

func codecSpecs() []Spec {
	const g = "codec"
	s := []Spec{
		{"codec.aes128gcm", g, "AES-128-GCM", "GB/s", Higher, "seal records of 16 KiB, one thread"},
		{"codec.aes256gcm", g, "AES-256-GCM", "GB/s", Higher, "seal records of 16 KiB, one thread"},
		{"codec.chacha20poly1305", g, "ChaCha20-Poly1305", "GB/s", Higher, "seal records of 16 KiB, one thread"},
		{"codec.sha256", g, "SHA-256", "MB/s", Higher, "blocks of 64 KiB, one thread"},
		{"codec.blake3", g, "BLAKE3", "MB/s", Higher, "blocks of 64 KiB, one thread"},
		{"codec.crc32c", g, "CRC-32C", "GB/s", Higher, "blocks of 64 KiB, one thread: the checksum of every frame that is stored"},
	}
	for _, c := range []struct{ name, title string }{{"gzip6", "gzip -6"}, {"zstd1", "zstd -1"}, {"zstd3", "zstd -3"}} {
		s = append(s,
			Spec{"codec." + c.name + ".random", g, c.title + " on random data", "MB/s", Higher, "1 MiB that can not be made smaller, one thread; MB of input"},
			Spec{"codec." + c.name + ".text", g, c.title + " on text", "MB/s", Higher, "1 MiB of text, one thread; MB of input; the ratio stands beside it"})
	}
	return s
}

func tlsSpecs() []Spec {
	const g = "tls"
	return []Spec{
		{"tls.full.p256", g, "TLS 1.3 handshakes, P-256", "/s", Higher, "full handshake over loopback, server's and client's work together on one processor each, one after the other"},
		{"tls.full.rsa2048", g, "TLS 1.3 handshakes, RSA-2048", "/s", Higher, "the same with an RSA key"},
		{"tls.resumed", g, "TLS 1.3 resumed handshakes", "/s", Higher, "with a ticket of an earlier handshake, P-256"},
		{"tls.proxy", g, "HTTPS proxy, 1 KB answers", "/s", Higher, "50 kept connections through a reverse proxy with TLS in front, all on this machine"},
	}
}

func diskSpecs() []Spec {
	const g = "disk"
	return []Spec{
		{"disk.write.seq", g, "sequential writing", "MB/s", Higher, "O_DIRECT in pieces of 1 MiB of data that can not be made smaller, fsync at the end included; min5s is the worst 5 seconds"},
		{"disk.read.seq", g, "sequential reading", "MB/s", Higher, "O_DIRECT in pieces of 1 MiB, the file just written"},
		{"disk.read.4k.q1", g, "4 KiB random reads, one at a time", "µs", Lower, "O_DIRECT pread within the file"},
		{"disk.read.4k.q32", g, "4 KiB random reads, 32 at once", "IOPS", Higher, "O_DIRECT, Linux AIO, one thread"},
		{"disk.write.4k.q32", g, "4 KiB random writes, 32 at once", "IOPS", Higher, "O_DIRECT, Linux AIO, one thread, over the file"},
		{"disk.fsync", g, "fsync", "ms", Lower, "append 4 KiB, fdatasync"},
		{"disk.metadata", g, "small files", "/s", Higher, "create, stat and unlink of empty files in one directory: steps per second"},
	}
}

func spawnSpecs() []Spec {
	const g = "spawn"
	return []Spec{
		{"spawn.hello", g, "start of a small program", "ms", Lower, "clone, execve and wait for a static program that prints hello (the same bytes on every machine)"},
		{"spawn.all", g, "starts per second, all processors", "/s", Higher, "the same on every processor at once"},
		{"spawn.boot", g, "boot until sshd", "s", Lower, "from the start of the kernel to that of the oldest sshd process (/proc); a virtual machine adds its own time before that"},
		{"spawn.go", g, "start of hello in Go", "ms", Lower, "hello world built with the installed Go, statically"},
	}
}

func compileSpecs() []Spec {
	const g = "compile"
	return []Spec{
		{"compile.types", g, "type check", "ms", Lower, "parse and type-check the bundled package within this program: needs no compiler, so the toolchain is the same everywhere"},
		{"compile.go", g, "Go compiler", "ms", Lower, "go tool compile of the bundled package, one processor"},
		{"compile.go.run", g, "compile and run hello in Go", "ms", Lower, "go build with a warm cache, then run"},
		{"compile.go.cold", g, "Go build, cold", "ms", Lower, "go build of the bundled program and what it imports with an empty cache"},
		{"compile.go.warm", g, "Go build, warm", "ms", Lower, "the same after one line was changed"},
		{"compile.c", g, "C compiler", "ms", Lower, "cc -O2 -w -c of the bundled C file"},
	}
}

func netSpecs() []Spec {
	const g = "net"
	return []Spec{
		{"net.loopback.tcp", g, "TCP within the machine", "MB/s", Higher, "one stream from memory to memory over 127.0.0.1"},
		{"net.loopback.tls", g, "TLS within the machine", "MB/s", Higher, "the same with TLS 1.3 (AES-128-GCM)"},
		{"net.loopback.rtt", g, "round trip within the machine", "µs", Lower, "one byte back and forth on a TCP connection"},
		{"net.dns", g, "name service", "ms", Lower, "ask the first server of /etc/resolv.conf for the name servers of the root zone, over UDP"},
		{"net.tcp.1", g, "TCP, one stream", "MB/s", Higher, "from memory to memory on a port of its own, without TLS"},
		{"net.tcp.8", g, "TCP, 8 streams", "MB/s", Higher, "the same with 8 connections"},
		{"net.tls.1", g, "TLS, one stream", "MB/s", Higher, "over the colony's own port"},
		{"net.tls.8", g, "TLS, 8 streams", "MB/s", Higher, "the same with 8 connections"},
		{"net.rtt", g, "round trip", "ms", Lower, "one byte back and forth on an open connection of the colony"},
		{"net.connect", g, "connect", "ms", Lower, "TCP connect to the colony's port"},
		{"net.clock", g, "difference of the clocks", "ms", Lower, "the other node's clock at the middle of the shortest of 20 round trips, without its sign"},
		{"net.handshake", g, "connect and authenticate", "ms", Lower, "TCP connect and TLS 1.3 handshake with certificates on both sides"},
	}
}

func sshSpecs() []Spec {
	const g = "ssh"
	s := []Spec{
		{"ssh.connect.system", g, "ssh connect, the system's ssh", "ms", Lower, "ssh host true, whole time, as a person feels it"},
		{"ssh.connect.own", g, "ssh connect, own client", "ms", Lower, "TCP connect, key exchange and log-in without a process"},
	}
	for _, c := range []struct{ name, title string }{{"aes128gcm", "aes128-gcm"}, {"aes256gcm", "aes256-gcm"}, {"chacha20", "chacha20-poly1305"}} {
		s = append(s,
			Spec{"ssh.system." + c.name, g, "ssh, " + c.title, "MB/s", Higher, "random data from memory through the system's ssh into cat > /dev/null"},
			Spec{"ssh.own." + c.name, g, "own ssh client, " + c.title, "MB/s", Higher, "the same through Honeyant's own client"})
	}
	return append(s,
		Spec{"ssh.compressed.random", g, "ssh -C on random data", "MB/s", Higher, "aes128-gcm with zlib compression by the system's ssh, MB of input"},
		Spec{"ssh.compressed.text", g, "ssh -C on text", "MB/s", Higher, "the same on text"},
		Spec{"ssh.plain.text", g, "ssh on text", "MB/s", Higher, "aes128-gcm without compression on text"})
}

func fsSpecs() []Spec {
	const g = "fs"
	return []Spec{
		{"fs.write.seq", g, "file system: sequential writing", "MB/s", Higher, "write(2) in pieces of 1 MiB, fsync and close included"},
		{"fs.read.seq", g, "file system: sequential reading", "MB/s", Higher, "read(2) in pieces of 1 MiB after asking the kernel to forget the file"},
		{"fs.read.4k", g, "file system: random reads", "µs", Lower, "pread of 4 KiB, one at a time, after asking the kernel to forget the file"},
		{"fs.fsync", g, "file system: small durable writes", "ms", Lower, "append 4 KiB, fsync"},
		{"fs.create", g, "file system: small files written", "/s", Higher, "create, write 4 KiB, close; one thread"},
		{"fs.create.16", g, "file system: small files written, 16 at once", "/s", Higher, "the same with 16 threads in directories of their own"},
		{"fs.stat", g, "file system: stat", "/s", Higher, "stat each of the small files"},
		{"fs.list", g, "file system: list", "/s", Higher, "read the directory and stat each entry, entries per second"},
		{"fs.read.small", g, "file system: small files read", "/s", Higher, "open, read 4 KiB, close"},
		{"fs.unlink", g, "file system: unlink", "/s", Higher, "remove each of the small files"},
	}
}

func burstSpecs() []Spec {
	const g = "burst"
	return []Spec{
		{"burst.cpu", g, "processor after the credits are spent", "%", Higher, "all processors at work; the plateau over the peak, found in samples of 10 seconds"},
		{"burst.refill", g, "processor after a rest", "%", Higher, "idle for a quarter of the time, then all processors at work again: the first 10 seconds over the peak"},
		{"burst.disk", g, "disk after the credits are spent", "%", Higher, "4 KiB random reads, 32 at once; the plateau over the peak"},
	}
}
