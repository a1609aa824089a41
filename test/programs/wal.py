"""wal.py PATH ELSEWHERE: SQLite in WAL mode by several processes of one node, one of which is killed in the middle; then the
same database by another node, and by the first one again. PATH and ELSEWHERE are one file on the mounts of two nodes.

WAL keeps an index in memory that all processes map (-shm): those of one node share it. Two nodes do not, so only one may
have the database open at a time, which doc/semantics.md says."""
import os, signal, sqlite3, subprocess, sys, time

EACH, WRITERS = 150, 3


def connect(path):
    c = sqlite3.connect(path, timeout=60, isolation_level=None)
    mode = c.execute('pragma journal_mode=wal').fetchone()[0]
    assert mode == 'wal', 'SQLite chose journal_mode %s' % mode
    c.execute('pragma synchronous=normal')
    return c


def write(path, who, n):
    c = connect(path)
    for i in range(n):
        c.execute('begin immediate')
        c.execute('insert into t values (?, ?, ?)', (who, i, os.urandom(200)))
        c.execute('update total set n = n + 1')
        c.execute('commit')
        if i % 40 == 0:
            got = c.execute('select (select count(*) from t) = n from total').fetchone()[0]
            assert got == 1, 'a reader sees half a transaction'
    c.close()


def count(path):
    c = connect(path)
    assert c.execute('pragma integrity_check').fetchone()[0] == 'ok', path
    rows, = c.execute('select count(*) from t').fetchone()
    total, = c.execute('select n from total').fetchone()
    assert rows == total, '%d rows, %d counted' % (rows, total)
    c.close()
    return rows


def main(path, elsewhere):
    began = time.time()
    c = connect(path)
    c.execute('create table t (who integer, n integer, b blob)')
    c.execute('create table total (n integer)')
    c.execute('insert into total values (0)')
    c.close()
    start = lambda who, n: subprocess.Popen([sys.executable, __file__, 'write', path, str(who), str(n)])
    writers = [start(who, EACH) for who in range(WRITERS)]
    doomed = start(WRITERS, 100000)
    deadline = time.time() + 60
    c = connect(path)
    while c.execute('select count(*) from t where who = ?', (WRITERS,)).fetchone()[0] < 20:
        assert time.time() < deadline and doomed.poll() is None, 'the process to be killed does nothing'
        time.sleep(0.05)
    c.close()
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    for w in writers:
        assert w.wait() == 0, 'a writer failed'
    rows = count(path)
    assert rows >= WRITERS * EACH, '%d rows' % rows
    took = time.time() - began
    assert not os.path.exists(path + '-wal'), 'the last close leaves a log behind'
    assert count(elsewhere) == rows, 'another node sees other rows'
    write(elsewhere, 9, 50)
    assert count(path) == rows + 50, 'the first node does not see what the other one wrote'
    write(path, 10, 50)
    assert count(elsewhere) == rows + 100
    print('wal      %d transactions by %d processes of a node, one killed, %.1f/s; handed on twice, sound' % (rows, WRITERS + 1, rows / took))


if sys.argv[1] == 'write':
    write(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    main(sys.argv[1], sys.argv[2])
