"""The ceiling: a file system in memory on Honeyant's own FUSE transports, nothing behind it. What FUSE allows on this machine.

fuseceiling takes io_uring, fuseceiling-dev /dev/fuse. FUSECEILING names the binary (default: fuseceiling in the lab's bin directory)."""
import os, subprocess, time
from labcore import System, drop_caches, sh, BIN

PROGRAM = os.environ.get('FUSECEILING', BIN + '/fuseceiling')


class FuseCeiling(System):
    name = 'fuseceiling'
    order = 1
    redundancy = False
    local_client = False
    transport = 'uring'
    settings = 'In memory, no network, no disk: the ceiling of FUSE over io_uring. Names and attributes kept 60 s, KEEP_CACHE, FOPEN_NOFLUSH. "Cold" drops the kernel\'s caches only.'

    def available(self):
        if not os.access(PROGRAM, os.X_OK):
            return PROGRAM + ' is not there (go build -o it ./test/fuseceiling)'
        if self.transport == 'uring' and not os.path.exists('/sys/module/fuse/parameters/enable_uring'):
            return 'this kernel has no FUSE over io_uring'

    def version(self):
        return sh('uname -r').strip()

    def root(self):
        p = self.run + '/fs'
        os.makedirs(p, exist_ok=True)
        return p

    def start(self):
        # One process, in the storage role so that unmounting a client does not end it; the clients see the same tree.
        self.spawn('n4', 'storage', [PROGRAM, '-transport', self.transport, self.root()], tag='fuseceiling')
        t = time.time()
        while not os.path.ismount(self.root()):
            if time.time() - t > 10:
                raise RuntimeError('fuseceiling does not mount, see its log')
            time.sleep(0.05)

    def mount(self, n):
        sh(['mount', '--bind', self.root(), self.mp(n)])

    def umount(self, n):
        subprocess.run(['umount', '-l', self.mp(n)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def remount_cold(self, n):
        self.umount(n)
        drop_caches()
        self.mount(n)

    def stop(self):
        System.stop(self)
        subprocess.run(['umount', '-l', self.run + '/fs'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class FuseCeilingDev(FuseCeiling):
    name = 'fuseceiling-dev'
    transport = 'dev'
    settings = FuseCeiling.settings.replace('io_uring', '/dev/fuse')
