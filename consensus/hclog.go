package consensus

import (
	"context"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLog lets raft's logger speak to slog: its information is our debugging, its
// warnings and errors are warnings, because raft recovers from them by itself.
type raftLog struct {
	hclog.Logger // the null logger, for the methods nobody calls
	to           *slog.Logger
}

func newRaftLog(to *slog.Logger) hclog.Logger {
	return &raftLog{Logger: hclog.NewNullLogger(), to: to}
}

func (l *raftLog) write(level slog.Level, msg string, args []any) {
	if !l.to.Enabled(context.Background(), level) {
		return
	}
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			args[i] = f[1:]
		}
	}
	l.to.Log(context.Background(), level, "raft: "+msg, args...)
}

func (l *raftLog) Log(level hclog.Level, msg string, args ...any) {
	if level >= hclog.Warn {
		l.write(slog.LevelWarn, msg, args)
		return
	}
	l.write(slog.LevelDebug, msg, args)
}

func (l *raftLog) Trace(string, ...any)          {}
func (l *raftLog) Debug(msg string, args ...any) { l.write(slog.LevelDebug, msg, args) }
func (l *raftLog) Info(msg string, args ...any)  { l.write(slog.LevelDebug, msg, args) }
func (l *raftLog) Warn(msg string, args ...any)  { l.write(slog.LevelWarn, msg, args) }
func (l *raftLog) Error(msg string, args ...any) { l.write(slog.LevelWarn, msg, args) }
func (l *raftLog) With(args ...any) hclog.Logger {
	return &raftLog{Logger: l.Logger, to: l.to.With(args...)}
}
func (l *raftLog) Named(string) hclog.Logger      { return l }
func (l *raftLog) ResetNamed(string) hclog.Logger { return l }
func (l *raftLog) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.to.Handler(), slog.LevelDebug)
}
func (l *raftLog) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return l.StandardLogger(nil).Writer()
}
