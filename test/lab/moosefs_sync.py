"""MooseFS with its own fsync switches on: what it costs to promise on disk what Honeyant promises by default."""
from systems.moosefs import MooseFS


class MooseFSSync(MooseFS):
    name = 'moosefs-sync'
    order = 21
    settings = MooseFS.settings.split(' Metadata:')[0] + (' CHANGELOG_SAVE_MODE=2 (metadata changelog fsynced for each operation) and HDD_FSYNC_BEFORE_CLOSE=1 '
                                                          '(a chunk is fsynced before it is closed); still one master without a standby.')

    def spawn(self, node, role, argv, **kw):
        # The configuration files are written just before each daemon is started.
        if argv[0] in ('mfsmaster', 'mfschunkserver'):
            path = argv[argv.index('-c') + 1]
            line = 'CHANGELOG_SAVE_MODE = 2\n' if argv[0] == 'mfsmaster' else 'HDD_FSYNC_BEFORE_CLOSE = 1\n'
            text = open(path).read()
            if line not in text:
                open(path, 'a').write(line)
        return MooseFS.spawn(self, node, role, argv, **kw)
