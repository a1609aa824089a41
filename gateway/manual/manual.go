// Package manual is the gateway's manual, built into the program: `honeyant gateway help` finds pages by their names, by the
// stable codes of log messages, and by words in English and Japanese, without a network.
package manual

import (
	"cmp"
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/honeyant/honeyant/gateway/code"
)

//go:embed pages/*.md
var pages embed.FS

// Page is one page. A page's file begins with "# Title" and a line "Words: ..." of what people may look for.
type Page struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Words string `json:"-"`
	Text  string `json:"text"`
}

// Hit is a page that a search found.
type Hit struct {
	Page  Page   `json:"page"`
	Score int    `json:"score"`
	Line  string `json:"line"` // the line that fits best
}

// Pages lists all pages in the order of their names.
func Pages() ([]Page, error) {
	names, err := fs.Glob(pages, "pages/*.md")
	if err != nil {
		return nil, err
	}
	var all []Page
	for _, name := range names {
		text, err := pages.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, parse(strings.TrimSuffix(path.Base(name), ".md"), string(text)))
	}
	return all, nil
}

func parse(name, text string) Page {
	p := Page{Name: name}
	var body []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case p.Title == "" && strings.HasPrefix(line, "# "):
			p.Title = strings.TrimPrefix(line, "# ")
		case p.Words == "" && strings.HasPrefix(line, "Words: "):
			p.Words = strings.TrimPrefix(line, "Words: ")
		default:
			body = append(body, line)
		}
	}
	p.Text = strings.TrimSpace(strings.Join(body, "\n"))
	return p
}

// Find answers the page of that name.
func Find(name string) (Page, bool, error) {
	all, err := Pages()
	for _, p := range all {
		if strings.EqualFold(p.Name, name) {
			return p, true, err
		}
	}
	return Page{}, false, err
}

// The weights of where a word is found.
const (
	inName  = 12
	inWords = 8
	inTitle = 8
	inText  = 1
	mostIn  = 5 // how often a word counts in the text
)

// Search finds pages by words, best first. A word counts where it is part of another ("keep" finds "keep-alive"), and Japanese,
// which has no spaces, is looked for whole and in pairs of characters.
func Search(query string) ([]Hit, error) {
	all, err := Pages()
	if err != nil {
		return nil, err
	}
	terms := split(query)
	var hits []Hit
	for _, p := range append(all, codePages()...) {
		h := Hit{Page: p}
		best := 0
		for _, t := range terms {
			h.Score += t.weight * (inName*has(p.Name, t.text) + inWords*has(p.Words, t.text) + inTitle*has(p.Title, t.text) + inText*min(mostIn, count(p.Text, t.text)))
		}
		for line := range strings.Lines(p.Text) {
			n := 0
			for _, t := range terms {
				n += t.weight * has(line, t.text)
			}
			if n > best {
				best, h.Line = n, strings.TrimSpace(line)
			}
		}
		if h.Score > 0 {
			hits = append(hits, h)
		}
	}
	slices.SortStableFunc(hits, func(a, b Hit) int { return cmp.Compare(b.Score, a.Score) })
	return hits, nil
}

// codePages lets the search find codes by what they mean; they have no words of their own, so that pages come first.
func codePages() []Page {
	var all []Page
	for _, e := range code.All() {
		all = append(all, Page{Name: string(e.ID), Title: "log code " + string(e.ID), Text: e.Meaning + "\n" + e.Do})
	}
	return all
}

type term struct {
	text   string
	weight int
}

// split makes terms out of a query.
func split(query string) []term {
	const whole, pair = 4, 1
	var terms []term
	for _, word := range strings.FieldsFunc(fold(query), func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`,.;:!?"'()「」『』、。`, r)
	}) {
		terms = append(terms, term{word, whole})
		runes := []rune(word)
		for i := 0; i+1 < len(runes) && len(runes) > 2; i++ {
			if ideographic(runes[i]) && ideographic(runes[i+1]) {
				terms = append(terms, term{string(runes[i : i+2]), pair})
			}
		}
	}
	return terms
}

func ideographic(r rune) bool { return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) }

// fold makes what means the same the same: lower case, half width.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		const fullFirst, fullLast, shift = 0xff01, 0xff5e, 0xfee0
		if r >= fullFirst && r <= fullLast {
			r -= shift
		}
		if r == '_' {
			r = '-' // client_idle is also found as client-idle
		}
		return unicode.ToLower(r)
	}, s)
}

func has(text, word string) int {
	if strings.Contains(fold(text), word) {
		return 1
	}
	return 0
}

func count(text, word string) int { return strings.Count(fold(text), word) }
