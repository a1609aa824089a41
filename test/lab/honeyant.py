"""Driver of Honeyant for the file-system lab: three storage nodes, a fourth machine that only mounts.

HONEYANT names the binary (default: honeyant in the lab's bin directory); HONEYANT_MEMORY the cap of each daemon."""
import json, os, re, shutil, signal, time
from labcore import System, STORAGE, IP, BIN

PROGRAM = os.environ.get('HONEYANT', BIN + '/honeyant')
MEMORY = os.environ.get('HONEYANT_MEMORY', '96MiB')


class Honeyant(System):
    name = 'honeyant'
    order = 5
    settings = ('3 nodes, each store + metadata voter; copies=2; n4 is a member without a store. --memory ' + MEMORY + '. Defaults otherwise. Names and attributes are '
                'fsynced on a quorum before the call returns; close and fsync return when the data are fdatasynced on both copies and the commit on a quorum.')

    def available(self):
        return None if os.access(PROGRAM, os.X_OK) else PROGRAM + ' is not there (make build, copy bin/honeyant)'

    def version(self):
        import subprocess
        return subprocess.run([PROGRAM, 'version'], capture_output=True, text=True).stdout.strip()

    def dir(self, n):
        return (self.disk(n) + '/honeyant') if n in STORAGE else self.run + '/' + n

    def role(self, n):
        return 'storage' if n in STORAGE else 'client'

    def cli(self, n, *args, check=True, timeout=90):
        return self.call(n, 'tool', [PROGRAM] + list(args) + ['--dir', self.dir(n)], timeout=timeout, check=check)

    def json(self, n, *args, **kw):
        out = self.cli(n, *args, '--json', **kw)
        return json.loads(out[out.index('{'):out.rindex('}') + 1])

    def place(self, n):
        a = ['--name', n, '--listen', IP[n] + ':7268', '--advertise', IP[n] + ':7268', '--memory', MEMORY]
        return a + (['--capacity', '6GiB'] if n in STORAGE else ['--capacity', '0'])

    def start(self):
        for n in STORAGE + ['n4']:
            shutil.rmtree(self.dir(n), ignore_errors=True)
        join = self.json('n1', 'init', *self.place('n1'))['join']
        self.start_node('n1')
        for n in ['n2', 'n3', 'n4']:
            self.cli(n, 'join', join['address'], '--token', join['token'], *self.place(n))
            if n in STORAGE:
                self.start_node(n)
        self.wait(lambda s: sum(1 for x in s['nodes'] if x['voter'] and x['state'] == 'up') >= 3, 'three voters')

    def start_node(self, n):
        if self.pids(n, self.role(n)):
            return
        self.spawn(n, self.role(n), [PROGRAM, 'serve'] + ['--dir', self.dir(n)], tag='honeyant')
        t = time.time()
        while time.time() - t < 40:
            try:
                return self.json(n, 'status', timeout=10, check=False)
            except (RuntimeError, ValueError):
                time.sleep(0.2)
        raise RuntimeError('honeyant on %s does not answer' % n)

    def wait(self, ok, what, timeout=60):
        t = time.time()
        while time.time() - t < timeout:
            try:
                if ok(self.json('n1', 'status', timeout=10, check=False)):
                    return
            except (RuntimeError, ValueError):
                pass
            time.sleep(0.3)
        raise RuntimeError('honeyant: waited in vain for ' + what)

    def mount(self, n):
        self.start_node(n)
        if not self.mounted(n):
            self.cli(n, 'mount', '--once', self.mp(n))
        self.wait_mounted(n)

    def umount(self, n):
        if n in STORAGE:
            if self.mounted(n):
                self.cli(n, 'umount', self.mp(n), check=False)
            return
        for p in self.pids(n, 'client'):
            os.kill(p, signal.SIGTERM)
        t = time.time()
        while self.pids(n, 'client') and time.time() - t < 20:
            time.sleep(0.1)
        System.umount(self, n)

    def healed(self):
        s = self.json('n1', 'status', check=False)
        return s['health'] == 'ok' and s['chunks']['under_replicated'] == 0
