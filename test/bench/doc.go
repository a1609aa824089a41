// Package bench holds the check of Honeyant's measurements against the well-known tools:
// fio, sysbench, openssl speed, iperf3. It takes minutes and wants a quiet machine, so it
// runs only by `make bench-check`.
package bench
