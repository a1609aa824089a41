package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/transfer"
)

// cpFlags are the flags of cp.
type cpFlags struct {
	o       transfer.Options
	ssh     string
	comp    string
	verify  bool
	quiet   bool
	strict  bool
	archive bool
	serve   bool
}

func newCp(o *options) *cobra.Command {
	f := &cpFlags{}
	c := &cobra.Command{
		Use: "cp SOURCE... TARGET", Short: "copy trees between directories, mounts and machines, checked and resumable",
		Long: "Copies files and directories in parallel and keeps modes, owners, times, ACLs, extended attributes, hard links,\n" +
			"holes, links and devices. HOST:PATH is a path of another machine, reached by ssh. Every file is built beside its\n" +
			"name, synced, read back and compared, and only then renamed. Give the same command again to go on after an\n" +
			"interruption: what is there and sound is not copied again.\n\n" +
			"If TARGET is a directory the copy is put into it, otherwise it is TARGET (-T: always). doc/copying.md says more.\n" +
			"Exit codes: 0 done, 1 something was not copied, 2 refused before anything was changed, 3 a machine can not be reached.",
		Example: "  honeyant cp -r ~/photos /srv/colony\n  honeyant cp -r oldserver:/var/www /srv/colony/www\n  honeyant cp -rn . backup@vm2:project",
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.serve {
				log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
				return transfer.Serve(cmd.Context(), os.Stdin, os.Stdout, 5*time.Minute, log)
			}
			if len(args) < 2 {
				return command.Usagef("name what to copy and where to\n  %s", cmd.UseLine())
			}
			return f.run(cmd.Context(), o, args)
		},
	}
	flags := c.Flags()
	flags.BoolVarP(&f.o.Recursive, "recursive", "r", false, "copy directories and what is in them")
	flags.BoolVarP(&f.archive, "archive", "a", false, "the same as -r: everything is always kept")
	flags.BoolVarP(&f.o.Exact, "no-target-directory", "T", false, "TARGET is the copy itself, also if it is a directory")
	flags.BoolVarP(&f.o.DryRun, "dry-run", "n", false, "change nothing, tell how much would be copied")
	flags.BoolVar(&f.verify, "verify", true, "read back what was written and compare")
	flags.StringVar(&f.comp, "compress", "auto", "between machines: auto (when it is faster), zstd, off")
	flags.IntVarP(&f.o.Jobs, "jobs", "j", 0, "files or parts at once (default by the number of cores)")
	flags.IntVar(&f.o.Connections, "connections", 1, "ssh connections to a machine; more help over long ways")
	flags.StringVarP(&f.ssh, "ssh", "e", "ssh", "the ssh command with its options")
	flags.StringVar(&f.o.Remote, "remote", "honeyant", "the honeyant command of the other machine")
	flags.BoolVar(&f.o.SFTP, "sftp", false, "use SFTP even if the other machine has a honeyant")
	flags.BoolVar(&f.strict, "strict", false, "fail (exit code 1) if an owner or attribute could not be kept")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but errors")
	flags.BoolVar(&f.serve, "serve", false, "")
	_ = flags.MarkHidden("serve") // it is there: defined above
	return c
}

func (f *cpFlags) run(ctx context.Context, o *options, args []string) error {
	f.o.Sources, f.o.Target = args[:len(args)-1], args[len(args)-1]
	f.o.Recursive = f.o.Recursive || f.archive
	f.o.Unchecked = !f.verify
	f.o.Compress = transfer.Compression(f.comp)
	f.o.SSH = strings.Fields(f.ssh)
	f.o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c, err := transfer.New(f.o)
	if err != nil {
		return err
	}
	stop := func() {}
	if !f.quiet && !o.json {
		stop = showCopying(c, os.Stderr)
	}
	r, err := c.Run(ctx)
	stop()
	if o.json {
		if err := command.PrintJSON(os.Stdout, r); err != nil {
			return err
		}
	} else {
		f.show(r)
	}
	switch {
	case err == nil && f.strict && len(r.Notes) > 0:
		return command.Silent(command.Failed)
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("stopped; give the same command again to go on")
	}
	return err
}

// show prints what was done, and each path that was not.
func (f *cpFlags) show(r *transfer.Report) {
	for _, e := range r.Errors {
		fmt.Fprintln(os.Stderr, "honeyant:", faultText(e))
	}
	if more := r.Failed - int64(len(r.Errors)); more > 0 {
		fmt.Fprintf(os.Stderr, "honeyant: and %d more\n", more)
	}
	if f.quiet {
		return
	}
	for _, n := range r.Notes {
		fmt.Fprintf(os.Stderr, "note: %s: %s", n.First, n.Text)
		if n.Count > 1 {
			fmt.Fprintf(os.Stderr, " (and %d more)", n.Count-1)
		}
		fmt.Fprintln(os.Stderr)
	}
	if r.Files+r.Directories+r.Specials+r.Links+r.Unchanged == 0 {
		return
	}
	verb := "copied"
	if r.DryRun {
		verb = "would be copied"
	}
	fmt.Printf("%d files (%s), %d directories, %d links and special files %s", r.Files, bytesText(r.Bytes), r.Directories, r.Links+r.Specials, verb)
	if r.Unchanged > 0 {
		fmt.Printf("; %d (%s) were there already", r.Unchanged, bytesText(r.Present))
	}
	if r.Resumed > 0 {
		fmt.Printf("; %s were left by an earlier run", bytesText(r.Resumed))
	}
	fmt.Println()
	if r.DryRun {
		return
	}
	checked := "not read back"
	if r.Verified {
		checked = "read back and compared"
	}
	fmt.Printf("%s in %s, %.1f MB/s, %s\n", bytesText(r.Moved), durationText(seconds(r.Seconds)), r.MBps, checked)
	if r.Way == "local" && f.comp == "auto" {
		return
	}
	fmt.Println(r.Compression)
}

func faultText(e transfer.Fault) string {
	if strings.Contains(e.Text, e.Path) {
		return e.Text
	}
	return e.Path + ": " + e.Text
}

// Progress is a moving line on a terminal, and now and then a line elsewhere.
const (
	movingLine = 200 * time.Millisecond
	plainLine  = 10 * time.Second
	// recent is how far back the speed is measured that the ETA rests on.
	recent = 10 * time.Second
)

// showCopying shows progress until stop is called, which waits.
func showCopying(c *transfer.Copier, w *os.File) (stop func()) {
	terminal, every := command.IsTerminal(w), plainLine
	if terminal {
		every = movingLine
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		var pace pace
		for {
			select {
			case now := <-tick.C:
				printProgress(w, terminal, c.Progress(), pace.add(c.Progress(), now))
			case <-end:
				if terminal {
					fmt.Fprint(w, "\r\x1b[K")
				}
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// pace is the speed of the last while.
type pace struct{ marks []paceMark }

type paceMark struct {
	at   time.Time
	work float64
	byte int64
}

// fileWork is what a file costs besides its bytes, in bytes.
const fileWork = 64 << 10

// estimate is the speed in bytes a second and the time left, negative if unknown.
type estimate struct {
	speed float64
	left  time.Duration
}

func (p *pace) add(s transfer.Progress, now time.Time) estimate {
	work := float64(s.Bytes) + fileWork*float64(s.Files)
	total := float64(s.BytesTotal) + fileWork*float64(s.FilesTotal)
	p.marks = append(p.marks, paceMark{now, work, s.Moved})
	for len(p.marks) > 2 && now.Sub(p.marks[0].at) > recent {
		p.marks = p.marks[1:]
	}
	first := p.marks[0]
	took := now.Sub(first.at).Seconds()
	e := estimate{left: -1}
	if took > 0 {
		e.speed = float64(s.Moved-first.byte) / took
		if work > first.work {
			e.left = seconds((total - work) / ((work - first.work) / took))
		}
	}
	return e
}

func printProgress(w io.Writer, terminal bool, s transfer.Progress, e estimate) {
	line := fmt.Sprintf("looking: %d names, %s", s.FilesTotal, bytesText(s.BytesTotal))
	if s.Phase == "copying" {
		percent := 100.0
		if s.BytesTotal > 0 {
			percent = 100 * float64(s.Bytes) / float64(s.BytesTotal)
		}
		left := "?"
		if e.left >= 0 {
			left = durationText(e.left.Round(time.Second))
		}
		line = fmt.Sprintf("%3.0f %%  %s of %s  %d of %d names  %.1f MB/s  %s left", percent, bytesText(s.Bytes), bytesText(s.BytesTotal), s.Files, s.FilesTotal, e.speed/1e6, left)
	}
	if terminal {
		fmt.Fprintf(w, "\r%s\x1b[K", line)
		return
	}
	fmt.Fprintln(w, line)
}
