#!/usr/bin/env python3
"""The gateway beside plain Caddy, nginx and HAProxy on this machine, in one run: requests a second and p99 for three
sizes, TLS handshakes a second, memory, and the thirty faults. Prints the tables of doc/gateway.md.

Needs nginx, haproxy, wrk and openssl (apt-get install --no-install-recommends nginx-light haproxy wrk), and the programs built:
  make build && go build -o bin/caddy github.com/caddyserver/caddy/v2/cmd/caddy
  test/gateway/sidebyside.py [--seconds 3] [--rounds 3] [--bin bin] [--no-faults | --no-speed]

All four pass requests over TLS to the same nginx with files in memory, over kept-alive connections, and write an access log.
The rounds go through the proxies in turn, so that a busy moment of the machine hits all of them; the median counts.
"""
import argparse, json, os, pathlib, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

def free():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

def wait(port):
    end = time.time() + 20
    while time.time() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nobody listens on port {port}")

def start(cmd, directory, name):
    log = open(directory / f"{name}.log", "w")
    env = dict(os.environ, HONEYANT_GATEWAY_DIR=str(directory / "control"), XDG_DATA_HOME=str(directory), XDG_CONFIG_HOME=str(directory))
    return subprocess.Popen(cmd, cwd=directory, stdout=log, stderr=log, env=env, start_new_session=True)

def tree(pid):
    """A process and all its children."""
    found, queue = [], [pid]
    while queue:
        p = queue.pop()
        found.append(p)
        try:
            for task in pathlib.Path(f"/proc/{p}/task").iterdir():
                queue += [int(c) for c in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found

def memory(pid):
    """Proportional memory of a process tree, in MiB."""
    return sum(int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{p}/smaps_rollup").read_text(), re.M)[1]) for p in tree(pid)) / 1024

def cpu(pid):
    """Seconds of processor time of a process tree so far: what other work on the machine does not change."""
    ticks = 0
    for p in tree(pid):
        fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(") ", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")

def configs(d, origin, ports, bin_dir):
    pem = d / "front.pem"
    caddy = lambda port, more: f"{{\n auto_https off\n{more}}}\nhttps://127.0.0.1:{port} {{\n tls {pem} {pem}\n log {{\n  output file access-{port}.log\n }}\n reverse_proxy 127.0.0.1:{origin}\n}}\n"
    (d / "honeyant.caddy").write_text(caddy(ports["honeyant"], ""))
    (d / "caddy.caddy").write_text(caddy(ports["caddy"], " admin off\n persist_config off\n servers {\n  protocols h1 h2\n }\n"))
    (d / "nginx.conf").write_text(f"""user root;
worker_processes auto; pid nginx.pid; error_log nginx-error.log; events {{ worker_connections 1024; }}
http {{ access_log nginx-access.log; proxy_temp_path t1; client_body_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
 upstream o {{ server 127.0.0.1:{origin}; keepalive 64; }}
 server {{ listen 127.0.0.1:{ports['nginx']} ssl http2; ssl_certificate {pem}; ssl_certificate_key {pem}; keepalive_requests 1000000;
  location / {{ proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
""")
    (d / "haproxy.cfg").write_text(f"""global
 log stdout format raw local0
defaults
 mode http
 log global
 option httplog
 timeout connect 3s
 timeout client 60s
 timeout server 60s
frontend f
 bind 127.0.0.1:{ports['haproxy']} ssl crt {pem} alpn h2,http/1.1
 default_backend b
backend b
 http-reuse always
 server s 127.0.0.1:{origin}
""")
    return {"honeyant": [bin_dir / "honeyant-gateway", "run", "--config", "honeyant.caddy"], "caddy": [bin_dir / "caddy", "run", "--adapter", "caddyfile", "--config", "caddy.caddy"],
            "nginx": ["nginx", "-p", str(d), "-g", "daemon off;", "-c", "nginx.conf"], "haproxy": ["haproxy", "-f", "haproxy.cfg"]}

def wrk(url, connections, seconds):
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url], capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    errors = re.search(r"Socket errors.*|Non-2xx.*", out)
    if errors:
        print(url, errors[0], file=sys.stderr)
    return rate, float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]], int(re.search(r"(\d+) requests in", out)[1])

def handshakes(port, seconds):
    out = subprocess.run(["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(seconds)], capture_output=True, text=True).stdout
    m = re.search(r"(\d+) connections in (\d+) real seconds", out)
    return int(m[1]) / int(m[2]) if m else 0

def speed(args, d, names):
    www = d / "www"
    www.mkdir()
    sizes = {"1 KB": 1 << 10, "100 KB": 100 << 10, "64 MB": 64 << 20}
    for name, size in sizes.items():
        (www / name.replace(" ", "")).write_bytes(os.urandom(size))
    origin, ports = free(), {n: free() for n in names}
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", d / "k", "-out", d / "c"], check=True, capture_output=True)
    (d / "front.pem").write_bytes((d / "c").read_bytes() + (d / "k").read_bytes())
    (d / "origin.conf").write_text(f"user root; worker_processes 1; pid o.pid; error_log o.log; events {{ }} http {{ access_log off; sendfile on; keepalive_requests 1000000; proxy_temp_path u1; client_body_temp_path u2;"
                                   f" fastcgi_temp_path u3; uwsgi_temp_path u4; scgi_temp_path u5; server {{ listen 127.0.0.1:{origin}; root {www}; }} }}")
    running = {"origin": start(["nginx", "-p", str(d), "-g", "daemon off;", "-c", "origin.conf"], d, "origin")}
    results = {n: {"memory": []} for n in names}
    try:
        for name, cmd in configs(d, origin, ports, args.bin).items():
            running[name] = start([str(c) for c in cmd], d, name)
        for port in [origin, *ports.values()]:
            wait(port)
        for _ in range(args.rounds):
            for name in names:
                for size in sizes:
                    before = cpu(running[name].pid)
                    rate, p99, count = wrk(f"https://127.0.0.1:{ports[name]}/{size.replace(' ', '')}", 4 if size == "64 MB" else 32, args.seconds)
                    results[name].setdefault(size, []).append((rate, p99, 1e6 * (cpu(running[name].pid) - before) / max(1, count)))
                results[name].setdefault("handshakes", []).append(handshakes(ports[name], args.seconds))
                results[name]["memory"].append(memory(running[name].pid))
    finally:
        for p in running.values():
            p.send_signal(signal.SIGTERM)
        for p in running.values():
            try:
                p.wait(15)
            except subprocess.TimeoutExpired:
                p.kill()
    return results

def faults(args, names):
    start_lines = {"caddy": f"{args.bin}/caddy run --adapter caddyfile --config {{}}", "nginx": "nginx -p . -g 'daemon off;' -c {}", "haproxy": "haproxy -f {}"}
    results = {}
    for name in names:
        cmd = [str(args.bin / "honeyant-gateway"), "selftest", "--json"]
        if name != "honeyant":
            cmd += ["--print-config", name, "--start", start_lines[name]]
        out = subprocess.run(cmd, capture_output=True, text=True).stdout
        results[name] = {r["number"]: r for r in json.loads(out)}
    return results

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=int, default=3)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--bin", type=lambda s: pathlib.Path(s).resolve(), default=pathlib.Path("bin").resolve())
    p.add_argument("--no-faults", action="store_true")
    p.add_argument("--no-speed", action="store_true")
    args = p.parse_args()
    names = ["honeyant", "caddy", "nginx", "haproxy"]
    missing = [t for t in ("nginx", "haproxy", "wrk", "openssl") if not shutil.which(t)] + [b for b in ("caddy", "honeyant-gateway") if not (args.bin / b).exists()]
    if missing:
        sys.exit(f"missing: {' '.join(missing)}\n\n{__doc__}")
    if not args.no_speed:
        with tempfile.TemporaryDirectory(prefix="honeyant-sidebyside-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as d:
            r = speed(args, pathlib.Path(d), names)
        median = statistics.median
        print("| | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
        for size in ("1 KB", "100 KB", "64 MB"):
            print(f"| {size}: requests/s | " + " | ".join(f"{median(x[0] for x in r[n][size]):,.{1 if size == '64 MB' else 0}f}" for n in names) + " |")
            print(f"| {size}: processor µs a request | " + " | ".join(f"{median(x[2] for x in r[n][size]):,.0f}" for n in names) + " |")
            print(f"| {size}: p99 ms | " + " | ".join(f"{median(x[1] for x in r[n][size]):,.1f}" for n in names) + " |")
        print("| TLS handshakes/s | " + " | ".join(f"{median(r[n]['handshakes']):,.0f}" for n in names) + " |")
        print("| memory MiB | " + " | ".join(f"{max(r[n]['memory']):,.0f}" for n in names) + " |")
        print("| processor time / plain Caddy (1 KB, 100 KB, 64 MB) | " + " | ".join(", ".join(f"{median(x[2] for x in r[n][s]) / median(x[2] for x in r['caddy'][s]):.2f}" for s in ("1 KB", "100 KB", "64 MB")) for n in names) + " |")
        # Round by round: what else the machine does in a round hits all four.
        sizes = {"1 KB": lambda x: x[0], "100 KB": lambda x: x[0], "64 MB": lambda x: x[0], "handshakes": lambda x: x}
        ratio = lambda n, s: median(sizes[s](x) / max(1e-9, sizes[s](c)) for x, c in zip(r[n][s], r["caddy"][s]))
        print("| speed / plain Caddy (1 KB, 100 KB, 64 MB, handshakes) | " + " | ".join(", ".join(f"{ratio(n, s):.2f}" for s in sizes) for n in names) + " |\n")
    if not args.no_faults:
        f = faults(args, names)
        print("| # | fault | " + " | ".join(names) + " |\n|---|---|" + "---|" * len(names))
        for number in sorted(f["honeyant"]):
            cell = lambda row: f"{row['verdict']} {row['seconds']:.1f} s" if row["verdict"] != "skipped" else "–"
            print(f"| {number} | {f['honeyant'][number]['title']} | " + " | ".join(cell(f[n][number]) for n in names) + " |")
        print("| | survived of tried | " + " | ".join(f"{sum(r['verdict'] == 'survived' for r in f[n].values())} of {sum(r['verdict'] != 'skipped' for r in f[n].values())}" for n in names) + " |")

if __name__ == "__main__":
    main()
