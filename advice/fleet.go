package advice

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/honeyant/honeyant"
)

const (
	maxFleet    = 200
	largestDisk = 16000 // GB: what providers rent as one block device at most
)

// ParseFleet reads "3×lightsail/nano, large": machines of plans of the table, named w1, w2 and
// so on after those in use. × may be written x or *. Errors: Invalid.
func ParseFleet(text string, t *Table, have []Machine) ([]Machine, error) {
	const op = "advice.ParseFleet"
	fleet := slices.Clone(have)
	for _, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		n, plan := 1, part
		digits := len(part) - len(strings.TrimLeft(part, "0123456789"))
		for _, sign := range []string{"×", "x", "*"} {
			if rest, ok := strings.CutPrefix(strings.TrimLeft(part[digits:], " "), sign); ok && digits > 0 {
				v, err := strconv.Atoi(part[:digits])
				if err != nil || v < 1 || v > maxFleet {
					return nil, honeyant.E(op, honeyant.Invalid, part, fmt.Errorf("between 1 and %d machines", maxFleet))
				}
				n, plan = v, strings.TrimSpace(rest)
				break
			}
		}
		o, err := t.Find(plan)
		if err != nil {
			return nil, err
		}
		if o.Kind != KindVM {
			return nil, honeyant.E(op, honeyant.Invalid, o.Name(), errors.New("this is storage, not a machine"))
		}
		for range n {
			fleet = append(fleet, FromOffer(freeName(fleet), o))
		}
		if len(fleet) > maxFleet {
			return nil, honeyant.E(op, honeyant.Invalid, part, fmt.Errorf("more than %d machines", maxFleet))
		}
	}
	return fleet, nil
}

func freeName(fleet []Machine) string {
	for i := 1; ; i++ {
		name := fmt.Sprintf("w%d", i)
		if !slices.ContainsFunc(fleet, func(m Machine) bool { return m.Name == name }) {
			return name
		}
	}
}

// Remove takes machines out of a fleet by name. Errors: NotExist, naming those that exist.
func Remove(fleet []Machine, names string) ([]Machine, error) {
	rest := slices.Clone(fleet)
	for _, name := range strings.Split(names, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(rest, func(m Machine) bool { return m.Name == name })
		if i < 0 {
			var have []string
			for _, m := range rest {
				have = append(have, m.Name)
			}
			return nil, honeyant.E("advice.Remove", honeyant.Invalid, name, fmt.Errorf("no such machine; there are %s", strings.Join(have, ", ")))
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return rest, nil
}

// Replace is "a,b,c=2×plan": takes machines out and puts others in their place.
func Replace(fleet []Machine, text string, t *Table) ([]Machine, error) {
	names, by, ok := strings.Cut(text, "=")
	if !ok {
		return nil, honeyant.E("advice.Replace", honeyant.Invalid, text, errors.New("write NAMES=PLANS, as in n1,n2,n3=lightsail/large"))
	}
	rest, err := Remove(fleet, names)
	if err != nil {
		return nil, err
	}
	return ParseFleet(by, t, rest)
}

// Search is what Cheapest may choose from.
type Search struct {
	Nodes    int
	Wish     Wish
	Provider string // only of this one; empty: any, but never two in one colony
	Worker   string // the plan of the workers; empty: any
}

// Cheapest composes, for each way of storing, the cheapest colony of so many machines of one
// provider that holds what is wanted, and evaluates it: equal workers large enough together; small workers
// with one or two honeypots, either a plan with a large disk or a small one with block storage; small
// workers before a bucket. Ways that no provider can serve are left out. Errors: Invalid.
func Cheapest(t *Table, q Search, s Setting) ([]*Outcome, error) {
	const op = "advice.Cheapest"
	if q.Nodes < 1 || q.Nodes > maxFleet {
		return nil, honeyant.E(op, honeyant.Invalid, "", fmt.Errorf("between 1 and %d machines", maxFleet))
	}
	if q.Wish.GB <= 0 {
		return nil, honeyant.E(op, honeyant.Invalid, "", errors.New("how many GB must fit?"))
	}
	if q.Worker != "" {
		if _, err := t.Find(q.Worker); err != nil {
			return nil, err
		}
	}
	best := map[string]*Outcome{}
	var order []string
	keep := func(title string, c Colony) error {
		o, err := Evaluate(title, c, s)
		if err != nil {
			if honeyant.KindOf(err) == honeyant.Invalid {
				return nil // impossible with these machines
			}
			return err
		}
		if o.UsableGB < q.Wish.GB || o.Monthly == nil {
			return nil
		}
		if _, ok := best[title]; !ok {
			order = append(order, title)
		}
		if was := best[title]; was == nil || o.monthlyUS < was.monthlyUS || o.monthlyUS == was.monthlyUS && o.WriteAll.MBps > was.WriteAll.MBps {
			best[title] = o
		}
		return nil
	}
	for _, offers := range byProvider(t, q.Provider) {
		for _, try := range q.compositions(offers) {
			if err := keep(try.title, try.colony); err != nil {
				return nil, err
			}
		}
	}
	all := make([]*Outcome, 0, len(order))
	for _, title := range []string{"equal workers", "one honeypot", "one honeypot with a rented disk", "two honeypots", "two honeypots with rented disks", "a bucket behind"} {
		if slices.Contains(order, title) {
			all = append(all, best[title])
		}
	}
	if len(all) == 0 {
		return nil, honeyant.E(op, honeyant.Invalid, "", fmt.Errorf("no plan of the table gives %.0f GB on %d machines; more machines, or a table of your own (honeyant price --export)", q.Wish.GB, q.Nodes))
	}
	return all, nil
}

// byProvider groups what can be ordered, in the table's order.
func byProvider(t *Table, only string) [][]Offer {
	var groups [][]Offer
	at := map[string]int{}
	for _, o := range t.Offers {
		if !o.Orderable || only != "" && !strings.EqualFold(only, o.Provider) {
			continue
		}
		i, ok := at[o.Provider]
		if !ok {
			i = len(groups)
			at[o.Provider] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], o)
	}
	return groups
}

// compositions are all colonies of one provider's offers that are worth a look.
func (q Search) compositions(offers []Offer) []titled {
	var all []titled
	add := func(title string, c Colony) {
		c.StoredGB = q.Wish.GB
		all = append(all, titled{title, c})
	}
	copies := q.Wish.copies(q.Nodes)
	for _, worker := range offers {
		if worker.Kind != KindVM || q.Worker != "" && !strings.EqualFold(worker.Name(), q.Worker) && !strings.EqualFold(worker.Plan, q.Worker) {
			continue
		}
		workers := func(n int) []Machine {
			var m []Machine
			for range n {
				m = append(m, FromOffer(freeName(m), worker))
			}
			return m
		}
		add("equal workers", Colony{Machines: workers(q.Nodes), Way: WaySpread, Copies: copies})
		for _, pot := range offers {
			for n := 1; n <= 2 && n < q.Nodes; n++ {
				colony := Colony{Machines: workers(q.Nodes - n), Way: WayPinned, Copies: n}
				title := []string{"", "one honeypot", "two honeypots"}[n]
				for i := range n {
					var m Machine
					switch {
					case pot.Kind == KindVM:
						m = FromOffer(fmt.Sprintf("pot%d", i+1), pot)
					case pot.Kind == KindBlock && pot.ByTheGB() && q.Wish.GB <= largestDisk:
						m = withDisk(FromOffer(fmt.Sprintf("pot%d", i+1), worker), pot, q.Wish.GB)
						title = []string{"", "one honeypot with a rented disk", "two honeypots with rented disks"}[n]
					default:
						continue
					}
					colony.Pots = append(colony.Pots, len(colony.Machines))
					colony.Machines = append(colony.Machines, m)
				}
				if len(colony.Pots) == n {
					add(title, colony)
				}
			}
			if pot.Kind == KindBucket {
				add("a bucket behind", Colony{Machines: workers(q.Nodes), Way: WayBucket, Bucket: BucketOf(pot)})
			}
		}
	}
	return all
}

// withDisk is a machine with a rented disk that holds gb of files.
func withDisk(m Machine, disk Offer, gb float64) Machine {
	size := gb / (1 - reserveOfStore) * 1.0001
	m.DiskGB = Figure{size, Offered, disk.Name()}
	m.Offer += fmt.Sprintf(" + %.0f GB of %s", size, disk.Name())
	m.Monthly = &Money{m.Monthly.Amount + size*disk.Monthly.Amount, m.Monthly.Currency}
	return m
}

// BucketOf is a bucket of which nothing was measured: 100 ms until something comes and 40 MB/s a
// request, the careful end of what Amazon's performance guide for S3 names (100-200 ms, 85-90 MB/s).
func BucketOf(o Offer) *Bucket {
	return &Bucket{Offer: o, Stream: Figure{40, Assumed, "a request"}, Latency: Figure{100, Assumed, "first byte"}}
}
