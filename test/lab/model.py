#!/usr/bin/env python3
"""How far the plan's model is from real runs: Honeyant on four machines of the lab (n1-n3 store, n4 only mounts) with
shaped links, beside what `honeyant plan --machines` says of the same links, disks and round trips.

Copy it beside labcore.py with systems/honeyant.py; needs iperf3 and root.

    model.py [--rates 200,800] [--out model.json]      links of 200 and then 800 Mbit/s in both directions
"""
import argparse, hashlib, json, os, shutil, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'systems'))
import labcore
from labcore import NODES, STORAGE, IP, BR, sh
from honeyant import Honeyant, PROGRAM

MB = 1e6


def shape(rates):
    for n in NODES:
        for ns, dev in ((n, 'eth0'), (BR, 'p' + n)):
            sh('tc -n %s qdisc add dev %s root handle 1: htb default 1' % (ns, dev))
            sh('tc -n %s class add dev %s parent 1: classid 1:1 htb rate %dmbit ceil %dmbit burst 64k cburst 64k quantum 60000' % (ns, dev, rates[n], rates[n]))


def tcp_rate(a, b):
    """MB/s of data from a to b"""
    server = subprocess.Popen(['nsenter', '--net=/run/netns/' + b, 'iperf3', '-s', '-1'], stdout=subprocess.DEVNULL)
    time.sleep(0.3)
    out = sh(['nsenter', '--net=/run/netns/' + a, 'iperf3', '-J', '-t', '4', '-O', '1', '-c', IP[b]])
    server.wait(10)
    return json.loads(out)['end']['sum_received']['bits_per_second'] / 8 / MB


ECHO = """
import socket, sys, time
if len(sys.argv) == 1:
    l = socket.create_server(('', 7999)); c = l.accept()[0]
    c.setsockopt(6, 1, 1)
    while (x := c.recv(1)): c.send(x)
else:
    c = socket.create_connection((sys.argv[1], 7999)); c.setsockopt(6, 1, 1); took = []
    for _ in range(200):
        t = time.time(); c.send(b'x'); c.recv(1); took.append(time.time() - t)
    print(sorted(took)[100] * 1000)
"""


def rtt_ms(a, b):
    """median of a byte back and forth on a connection"""
    server = subprocess.Popen(['nsenter', '--net=/run/netns/' + b, sys.executable, '-c', ECHO])
    time.sleep(1)
    out = sh(['nsenter', '--net=/run/netns/' + a, sys.executable, '-c', ECHO, IP[b]])
    server.wait(10)
    return float(out)


def fsync_ms(d):
    fd = os.open(d + '/fsync-probe', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    took = []
    for _ in range(200):
        t = time.time()
        os.write(fd, b'x' * 4096)
        os.fdatasync(fd)
        took.append(time.time() - t)
    os.close(fd)
    os.unlink(d + '/fsync-probe')
    return sorted(took)[100] * 1000


def disk_rates(d):
    """MB/s written and read with O_DIRECT"""
    f = d + '/disk-probe'
    t = time.time()
    sh('dd if=/dev/zero of=%s bs=1M count=512 oflag=direct conv=fsync' % f)
    w = 512 * 1.048576 / (time.time() - t)
    t = time.time()
    sh('dd if=%s of=/dev/null bs=1M iflag=direct' % f)
    r = 512 * 1.048576 / (time.time() - t)
    os.unlink(f)
    return w, r


def disk_read(d, group):
    """MB/s read with O_DIRECT by a process of a control group"""
    f, mib = d + '/disk-probe', 256
    sh('dd if=/dev/zero of=%s bs=1M count=%d oflag=direct conv=fsync' % (f, mib))
    try:
        t = time.time()
        sh("echo $$ >%s; exec dd if=%s of=/dev/null bs=1M iflag=direct" % (group, f))
        return mib * 1.048576 / (time.time() - t)
    finally:
        os.unlink(f)


BLOCK = os.urandom(8 << 20)


def write(path, mib):
    t = time.time()
    with open(path, 'wb', buffering=0) as f:
        for i in range(mib):
            at = (i * 1048573) % (7 << 20)
            f.write(BLOCK[at:at + (1 << 20)])
        os.fsync(f.fileno())
    return mib * 1.048576 / (time.time() - t)


def read(path):
    t, n = time.time(), 0
    with open(path, 'rb', buffering=0) as f:
        while True:
            b = f.read(1 << 20)
            if not b:
                return n / MB / (time.time() - t)
            n += len(b)


def together(jobs):
    """MB/s in sum: all bytes over the time until the last has ended"""
    t, done = time.time(), [None] * len(jobs)
    def run(i):
        done[i] = jobs[i][0]()
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(jobs))]
    for x in threads: x.start()
    for x in threads: x.join()
    return sum(j[1] for j in jobs) * 1.048576 / (time.time() - t)


def small(d, name, files, size=4096, sync=False):
    """files a second by one thread"""
    t = time.time()
    for i in range(files):
        with open('%s/%s-%d' % (d, name, i), 'wb', buffering=0) as f:
            f.write(BLOCK[i * 7:i * 7 + size])
            if sync:
                os.fsync(f.fileno())
    return files / (time.time() - t)


def cpu_seconds(s):
    total = {}
    for g in s.groups():
        n = g.split('.')[0]
        total[n] = total.get(n, 0) + int(open('%s/%s/cpuacct.usage' % (s.cg, g)).read()) / 1e9
    return total


def bursts(n=300):
    """seconds that a little work takes a process that was asleep, as daemons are between requests; each n times"""
    took = []
    for _ in range(n):
        time.sleep(0.002)
        t = time.perf_counter()
        hashlib.sha256(BLOCK[:1 << 20]).digest()
        took.append(time.perf_counter() - t)
    return sorted(took)


def cpu_speed(quiet, full):
    """Speed of a processor at this moment for work that comes in bursts: full when nobody else works. A loop without
    a pause would say less: the kernel prefers those that sleep."""
    took = bursts()
    quiet[0] = min(quiet[0], took[len(took) // 20])
    return full * quiet[0] / took[len(took) // 2]


# The lab's four machines share two processors, which those of a plan do not: all work of a file, wherever it is done, has to
# go through them. Milliseconds at speed 1 by the constants of advice/small.go: client, leader, two voters, both copies.
LAB_CPU_MS = {'alone_4kib': 0.24 + 3 * 0.09, 'alone_64kib': 0.24 + 0.34 + 3 * 0.09 + 2 * 0.25, 'fsynced_4kib': 0.8 + 1.15 + 2 * 0.6,
              'fsynced_64kib': 0.8 + 0.9 + 1.15 + 0.7 + 2 * 0.6 + 2 * 0.45, 'shared_4kib': 2 * 2 * (1.4 + 1.9 + 2 * 1.0)}


SMALL = (('4 KiB, alone', 'alone_4kib', 3000, 4096, False), ('4 KiB, fsynced', 'fsynced_4kib', 300, 4096, True),
         ('64 KiB, alone', 'alone_64kib', 600, 65536, False), ('64 KiB, fsynced', 'fsynced_64kib', 200, 65536, True))


def machine_seconds():
    """processor seconds used on the whole machine, by whomever; and those that there were"""
    v = [int(x) for x in open('/proc/stat').readline().split()[1:9]]
    return (sum(v) - v[3] - v[4]) / 100, sum(v) / 100


class Others:
    """how much of the processors others than the lab used meanwhile, in percent"""
    def __init__(self, s):
        self.s, self.lab, self.all, self.own = s, cpu_seconds(s), machine_seconds(), time.process_time()

    def percent(self):
        lab, now = cpu_seconds(self.s), machine_seconds()
        mine = sum(lab.values()) - sum(self.lab.values()) + time.process_time() - self.own
        return max(0, round(100 * (now[0] - self.all[0] - mine) / (now[1] - self.all[1])))


def small_files(s, machines, rounds, rows, run, full):
    """Small files. Disk, round trip and processor are measured again just before each: all change with what
    else the machine does. The figures of all rounds stand in rows; medians count."""
    quiet = [1e9]
    for _ in range(10):
        cpu_speed(quiet, full)  # so that what a quiet moment is like is known before the first figure

    for k in range(rounds):
        def probe():
            speed = cpu_speed(quiet, full)
            w = machines({n: fsync_ms(s.disk(n)) for n in STORAGE}, rtt_ms('n4', 'n1'), speed)
            rates = w['equal workers']['small_files_written']
            return {k: min(rates[k]['per_second'], 2000 * speed / LAB_CPU_MS[k]) for k in LAB_CPU_MS}

        def measured(what, before, files, rate, cpu, after, others):
            model = (before + after) / 2
            row = {'others_pct': others, 'run': run, 'round': k, 'what': what, 'unit': '/s', 'model': round(model, 1), 'measured': round(rate, 1), 'ratio': round(model / rate, 2),
                   'cpu_s_per_gb_or_1000_files': {n: round((v - cpu[0].get(n, 0)) / files * 1000, 2) for n, v in cpu[1].items()}}
            rows.append(row)
            print(json.dumps(row), flush=True)

        before = probe()
        for what, key, files, size, sync in SMALL:
            d = '%s/%s-%d' % (s.mp('n4'), key, k)
            os.mkdir(d)
            c = cpu_seconds(s)
            o = Others(s)
            v = small(d, 'f', files, size, sync)
            o = o.percent()
            time.sleep(2)  # the journal
            c = (c, cpu_seconds(s))
            after = probe()
            measured('files of ' + what, before[key], files, v, c, after[key], o)
            before = after
        d = {n: '%s/shared-%d' % (s.mp(n), k) for n in NODES}
        os.mkdir(d['n4'])
        c = cpu_seconds(s)
        rates, o = {}, Others(s)
        ts = [threading.Thread(target=lambda n=n: rates.__setitem__(n, small(d[n], n, 300))) for n in ('n3', 'n4')]
        for t in ts: t.start()
        for t in ts: t.join()
        o = o.percent()
        measured('files of 4 KiB, two machines in one directory, n4', before['shared_4kib'], 600, rates['n4'], (c, cpu_seconds(s)), probe()['shared_4kib'], o)


def disk_limited(s, node, mb_per_s):
    """From now on whoever is in the group that is answered, which node's daemons and mounts are, reads node's disk at that
    rate (0: as it can)."""
    group = '/sys/fs/cgroup/blkio/fslab-' + node
    os.makedirs(group, exist_ok=True)
    device = os.stat(s.disk(node)).st_dev
    with open(group + '/blkio.throttle.read_bps_device', 'w') as f:
        f.write('%d:%d %d' % (os.major(device), os.minor(device), mb_per_s * MB))
    for pid in s.pids(node):
        with open(group + '/cgroup.procs', 'w') as f:
            f.write(str(pid))
    return group + '/cgroup.procs'


def own_copies(s, way, path, rounds, rows, run):
    """n2 reads a file of which it has a copy, on disks of three speeds. Nothing of it is in a cache. way asks the plan for
    a disk that is as quick as n2's was just before and after."""
    for limit in (0, 200, 80):
        for k in range(rounds):
            s.umount('n2')
            s.mount('n2')
            group = disk_limited(s, 'n2', limit)
            disk = disk_read(s.disk('n2'), group)
            labcore.drop_caches()
            o, c, mine = Others(s), cpu_seconds(s), time.process_time()
            v = read(path)
            o, after, mine = o.percent(), cpu_seconds(s), time.process_time() - mine
            disk = (disk + disk_read(s.disk('n2'), group)) / 2
            gb = os.path.getsize(path) / 1e9
            model = way(disk)
            row = {'others_pct': o, 'run': run, 'round': k, 'what': 'first copy at home: n2 alone reads its own, disk of ' + (str(limit) if limit else 'any') + ' MB/s', 'unit': 'MB/s', 'model': round(model, 1), 'measured': round(v, 1),
                   'ratio': round(model / v, 2), 'disk': round(disk), 'cpu_s_per_gb_or_1000_files': round((sum(after.values()) - sum(c.values()) + mine) / gb, 2)}
            rows.append(row)
            print(json.dumps(row), flush=True)
    disk_limited(s, 'n2', 0)


def medians(rows):
    """One row for each thing that was measured in several rounds: the median of the rounds in which others used at most
    a tenth of the processors, or where there were fewer than three of those, of the three in which they used least."""
    together = {}
    for r in rows:
        together.setdefault((r['run'], r['what']), []).append(r)
    for (run, what), rs in together.items():
        rs = sorted(rs, key=lambda r: r.get('others_pct', 0))
        rs = rs[:max(3, sum(1 for r in rs if r.get('others_pct', 0) <= 10))]
        mid = lambda key: sorted(r[key] for r in rs)[len(rs) // 2]
        yield {'run': run, 'what': what, 'unit': rs[0]['unit'], 'model': mid('model'), 'measured': mid('measured'), 'ratio': round(mid('model') / mid('measured'), 2), 'others_pct': rs[-1].get('others_pct', '')}


def one_run(name, rates, speed, mib, bulk, own_rounds, small_rounds):
    labcore.net_up('raw')
    shape(rates)
    labcore.disks_up()
    s = Honeyant()
    rows = []
    try:
        net = {n: tcp_rate(n, 'n1' if n != 'n1' else 'n2') for n in NODES}
        rtt = rtt_ms('n4', 'n1')
        disks = {n: disk_rates(s.disk(n)) for n in STORAGE}
        fsync = {n: fsync_ms(s.disk(n)) for n in STORAGE}
        csv = s.run + '/machines.csv'

        def machines(fsync, rtt, speed):
            """what the plan says of machines that were measured so"""
            with open(csv, 'w') as f:
                f.write('name,disk_gb,net_mb_per_s,disk_write_mb_per_s,disk_read_mb_per_s,fsync_ms,rtt_ms,cpu_speed,processors,memory_gb\n')
                for n in NODES:
                    w, r = disks.get(n, (1000, 1000))
                    f.write('%s,%s,%.2f,%.0f,%.0f,%.3f,%.3f,%.2f,2,0.5\n' % (n, 6 if n in STORAGE else 0, net[n], w, r, fsync.get(n, 0.1), rtt, speed))
            out = subprocess.run([PROGRAM, 'plan', '--machines', csv, '--json'], capture_output=True, text=True, check=True).stdout
            print(open(csv).read(), flush=True)
            return {w['title']: w for w in json.loads(out)['ways']}

        ways = machines(fsync, rtt, speed)
        s.start()
        for n in NODES:
            s.mount(n)
        busy = {}

        def measured(what, model, value, unit='MB/s', moved=0, before=None):
            after = cpu_seconds(s)
            per = {n: round((after[n] - before.get(n, 0)) / (moved / 1000), 2) for n in after} if before and moved else None
            row = {'run': name, 'what': what, 'unit': unit, 'model': round(model, 1), 'measured': round(value, 1), 'ratio': round(model / value, 2), 'cpu_s_per_gb_or_1000_files': per}
            rows.append(row)
            print(json.dumps(row), flush=True)

        def again(n):
            s.umount(n)
            s.mount(n)

        def room():
            v = os.statvfs(s.mp('n4'))
            return v.f_bavail * v.f_frsize

        def emptied(d, before):
            """what one way has stored is gone: placement prefers stores with room, and the plan's machines are empty"""
            shutil.rmtree(d)
            until = time.time() + 180
            while room() < 0.98 * before and time.time() < until:
                time.sleep(1)

        empty = room()

        for way, policy in () if not bulk else (('equal workers', None), ('one honeypot', 'copies=1 placement=pinned:s1'), ('equal workers, first copy at home', 'copies=2 placement=local')):
            w = ways[way]
            alone = {x['machine']: x for x in w['each_alone']}
            d = {n: '%s/%s' % (s.mp(n), way.replace(' ', '-').replace(',', '')) for n in NODES}
            os.mkdir(d['n4'])
            if policy:
                s.cli('n4', 'policy', 'set', d['n4'], *policy.split())
            gb = mib * 1.048576
            for n in ('n4', 'n2'):
                c = cpu_seconds(s)
                v = write('%s/one-%s' % (d[n], n), mib)
                measured('%s: %s alone writes' % (way, n), alone[n]['write']['mb_per_s'], v, moved=gb, before=c)
            c = cpu_seconds(s)
            v = together([(lambda n=n: write('%s/all-%s' % (d[n], n), mib // 2), mib // 2) for n in NODES])
            measured(way + ': all four write', w['write_all']['mb_per_s'], v, moved=2 * gb, before=c)
            home = way.endswith('home')
            for n in NODES:
                again(n)
            if home:
                def own(disk):
                    disks['n2'] = (disks['n2'][0], disk)
                    return {x['machine']: x for x in machines(fsync, rtt, speed)[way]['each_alone']}['n2']['read']['mb_per_s']
                own_copies(s, own, d['n2'] + '/one-n2', own_rounds, rows, name)
            else:
                c = cpu_seconds(s)
                v = read('%s/one-n4' % d['n4'])
                measured('%s: n4 alone reads' % way, alone['n4']['read']['mb_per_s'], v, moved=gb, before=c)
                others = dict(zip(NODES, NODES[1:] + NODES[:1]))
                v = together([(lambda n=n: read('%s/all-%s' % (d[n], others[n])), mib // 2) for n in NODES])
                measured(way + ': all four read', w['read_all']['mb_per_s'], v)
            emptied(d['n4'], empty)
        if small_rounds:
            small_files(s, machines, small_rounds, rows, name, speed)
    finally:
        s.stop()
        labcore.disks_down()
        labcore.net_down()
    return rows


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--rates', default='200,800')
    p.add_argument('--speed', type=float, default=1, help='cpu.score.1 / 1000 of this machine')
    p.add_argument('--mib', type=int, default=256)
    p.add_argument('--no-bulk', dest='bulk', action='store_false', help='small files only')
    p.add_argument('--own', type=int, default=3, help='rounds of reading one\'s own copies, on disks of three speeds')
    p.add_argument('--small', type=int, default=3, help='rounds of small files')
    p.add_argument('--out', default='model.json')
    a = p.parse_args()
    rows = []
    for r in a.rates.split(','):
        rates = {n: int(r.split('/')[0]) for n in NODES}
        if '/' in r:
            rates['n3'] = int(r.split('/')[1])
        name = r.replace('/', ' Mbit/s, n3 ') + ' Mbit/s'
        rows += one_run(name, rates, a.speed, a.mib, a.bulk, a.own, a.small)
        json.dump(rows, open(a.out, 'w'), indent=1)
    print('\n| links | | model | measured | model ÷ measured | others used at most, % |\n|---|---|---|---|---|---|')
    for r in medians(rows):
        print('| %(run)s | %(what)s, %(unit)s | %(model)g | %(measured)g | %(ratio)g | %(others_pct)s |' % r)


main()
