package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// Pick finds the runs that a word of the command line means, among runs sorted by time:
//
//	a path with a slash or ending in .json   the file that honeyant bench --json wrote; #web1 after it
//	                                         takes one machine of several
//	20261122T1015…                           the run of that ID, or of which that is the beginning
//	web1                                     the last run of that machine
//	web1~2                                   the last but two
//	web1@2026-11-20                          the last run of that day (UTC)
//	web1@all                                 all its runs as one side
//
// Errors: NotExist if there is none, Invalid if an ID is ambiguous or a file is no run.
func Pick(runs []*bench.Run, word string) (Side, error) {
	const op = "history.Pick"
	if IsFile(word) {
		return pickFile(word)
	}
	var byID []*bench.Run
	for _, r := range runs {
		if r.ID == word {
			return Side{Label: word, Runs: []*bench.Run{r}}, nil
		}
		if word != "" && strings.HasPrefix(r.ID, word) {
			byID = append(byID, r)
		}
	}
	host, which := word, ""
	if i := strings.LastIndexAny(word, "@~"); i > 0 {
		host, which = word[:i], word[i:]
	}
	var of []*bench.Run
	for _, r := range runs {
		if r.Host.Name == host || r.Host.Node != "" && r.Host.Node == host {
			of = append(of, r)
		}
	}
	switch {
	case len(of) == 0 && len(byID) == 1:
		return Side{Label: word, Runs: byID}, nil
	case len(of) == 0 && len(byID) > 1:
		return Side{}, honeyant.E(op, honeyant.Invalid, word, fmt.Errorf("%d runs begin so: give more of the ID", len(byID)))
	case len(of) == 0:
		return Side{}, honeyant.E(op, honeyant.NotExist, word, fmt.Errorf("no run or machine of that name in the history%s", known(runs)))
	}
	picked, err := pickOf(of, which)
	if err != nil {
		return Side{}, honeyant.E(op, honeyant.KindOf(err), word, err)
	}
	return Side{Label: word, Runs: picked}, nil
}

// IsFile tells whether Pick takes a word for a file.
func IsFile(word string) bool {
	name, _, _ := strings.Cut(word, "#")
	return strings.ContainsRune(name, '/') || strings.HasSuffix(name, ".json")
}

func pickOf(of []*bench.Run, which string) ([]*bench.Run, error) {
	last := of[len(of)-1:]
	switch {
	case which == "":
		return last, nil
	case which == "@all":
		return of, nil
	case which[0] == '~':
		n, err := strconv.Atoi(which[1:])
		if err != nil || n < 0 || n >= len(of) {
			return nil, honeyant.E("", honeyant.NotExist, "", fmt.Errorf("it has %d runs", len(of)))
		}
		return of[len(of)-1-n : len(of)-n], nil
	}
	for _, r := range slices.Backward(of) {
		if strings.HasPrefix(r.Began.UTC().Format("2006-01-02T15:04:05"), which[1:]) {
			return []*bench.Run{r}, nil
		}
	}
	return nil, honeyant.E("", honeyant.NotExist, "", errors.New("no run of that day"))
}

func pickFile(path string) (Side, error) {
	const op = "history.Pick"
	path, host, _ := strings.Cut(path, "#")
	text, err := os.ReadFile(path)
	if err != nil {
		return Side{}, honeyant.E(op, kindOf(err), path, err)
	}
	runs, err := decodeRuns(text)
	if err != nil {
		return Side{}, honeyant.E(op, honeyant.KindOf(err), path, err)
	}
	var names []string
	for _, r := range runs {
		if !slices.Contains(names, r.Host.Name) {
			names = append(names, r.Host.Name)
		}
	}
	switch {
	case len(runs) == 0:
		return Side{}, honeyant.E(op, honeyant.Invalid, path, errors.New("there is no run in it"))
	case host == "" && len(names) > 1:
		return Side{}, honeyant.E(op, honeyant.Invalid, path, fmt.Errorf("it has runs of %s: add #MACHINE", strings.Join(names, ", ")))
	case host != "":
		runs = slices.DeleteFunc(runs, func(r *bench.Run) bool { return r.Host.Name != host && r.Host.Node != host })
		if len(runs) == 0 {
			return Side{}, honeyant.E(op, honeyant.NotExist, path, fmt.Errorf("no run of %s in it", host))
		}
	}
	SortByTime(runs)
	return Side{Label: first(runs[0].Host.Name, path), Runs: runs}, nil
}

// decodeRuns reads what honeyant bench --json printed: a run, or a list of them.
func decodeRuns(text []byte) ([]*bench.Run, error) {
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || trimmed[0] != '[' {
		run, err := bench.Decode(bytes.NewReader(text))
		return []*bench.Run{run}, err
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return nil, honeyant.E("", honeyant.Corrupt, "", err)
	}
	var runs []*bench.Run
	for _, p := range parts {
		run, err := bench.Decode(bytes.NewReader(p))
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, nil
}

func known(runs []*bench.Run) string {
	var names []string
	for _, r := range runs {
		if !slices.Contains(names, r.Host.Name) && len(names) < 8 {
			names = append(names, r.Host.Name)
		}
	}
	if len(names) == 0 {
		return ", which is empty: honeyant bench fills it"
	}
	return " (it has " + strings.Join(names, ", ") + ")"
}
