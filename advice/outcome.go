package advice

import (
	"fmt"
)

// Outcome is what a colony is expected to be: its capacity, speed, safety and price, with the arithmetic.
type Outcome struct {
	Title     string     `json:"title"`
	Way       Way        `json:"placement"`
	Machines  int        `json:"machines"`
	Made      []string   `json:"machines_by_plan"` // "3× lightsail/nano"
	Keep      string     `json:"keeps"`            // "2 copies", "4+2"
	NotBuilt  string     `json:"not_built_yet,omitempty"`
	Unlimited bool       `json:"unlimited,omitempty"` // a bucket: then the next two are what is stored
	UsableGB  float64    `json:"usable_gb"`           // of files, in all copies, at most
	HealsGB   float64    `json:"usable_healing_gb"`   // so that after any one loss it heals by itself
	StoredGB  float64    `json:"stored_gb"`           // what risk and money are reckoned for
	Write     Throughput `json:"write_one"`           // one writer
	WriteAll  Throughput `json:"write_all"`           // all machines at once, in sum
	Read      Throughput `json:"read_one"`            // one reader, not in memory
	ReadAll   Throughput `json:"read_all"`            // all at once, in sum
	Each      []Alone    `json:"each_alone"`
	Spent     Spent      `json:"after_credits"` // the same with the processors' credits spent
	Create    Written    `json:"small_files_written"`
	Open      Opened     `json:"small_files_read_4kib"`
	Risk      Risk       `json:"risk"`
	Monthly   *Money     `json:"monthly,omitempty"` // nil if a price is not known
	PerGB     *Money     `json:"per_usable_gb,omitempty"`
	Unpriced  []string   `json:"machines_without_price,omitempty"`
	Assumed   []string   `json:"assumed,omitempty"`
	Steps     []string   `json:"arithmetic"`
	monthlyUS float64
}

// Alone is what one machine gets when it is the only one at work.
type Alone struct {
	Machine string     `json:"machine"`
	Write   Throughput `json:"write"`
	Read    Throughput `json:"read"`
}

// Spent are the rates that remain on machines with a CPU baseline below 1.
type Spent struct {
	Applies     bool    `json:"applies"`
	WriteMBps   float64 `json:"write_one_mb_per_s"`
	ReadMBps    float64 `json:"read_one_mb_per_s"`
	CreateFiles float64 `json:"alone_4kib_per_second"`
}

// Written are small files written per second by one machine.
type Written struct {
	Alone   SmallFiles `json:"alone_4kib"`            // one thread, nobody else works in the directory
	Shared  SmallFiles `json:"shared_4kib"`           // one thread where several machines work
	Fsynced SmallFiles `json:"fsynced_4kib"`          // one thread, each file fsynced
	Many    SmallFiles `json:"threads16_shared_4kib"` // 16 threads where several machines work
	Bigger  SmallFiles `json:"alone_64kib"`           // one thread, alone
	Safe    SmallFiles `json:"fsynced_64kib"`         // one thread, each fsynced
}

// Opened are files of 4 KiB opened, read and closed per second, nothing in memory.
type Opened struct {
	One     SmallFiles `json:"one_thread"`
	Sixteen SmallFiles `json:"threads16"`
}

// Setting is what an evaluation needs besides the colony.
type Setting struct {
	Hazards Hazards
	Rates   Rates
	Unit    Unit // in which money is told; the zero value sums in US dollars unless all prices agree
}

// Evaluate applies all models to a colony. Errors: Invalid for an impossible one, or a currency without a rate.
func Evaluate(title string, c Colony, s Setting) (*Outcome, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	o := &Outcome{Title: title, Way: c.Way, Machines: len(c.Machines), Keep: c.keep()}
	o.Made = made(c.Machines)
	o.capacity(&c)
	o.speed(&c)
	var steps []string
	o.Risk, steps = c.risk(s.Hazards)
	o.Steps = append(o.Steps, steps...)
	if err := o.money(&c, s); err != nil {
		return nil, err
	}
	switch {
	case c.K > 0:
		o.NotBuilt = "erasure codes are not built yet: this is what they would give"
	case c.Way == WayBucket:
		o.NotBuilt = "buckets as stores are not built yet: this is what they would give"
	}
	o.Assumed = c.assumed()
	return o, nil
}

func (c *Colony) keep() string {
	switch {
	case c.Way == WayBucket:
		return "the bucket"
	case c.K > 0:
		return fmt.Sprintf("%d+%d", c.K, c.M)
	case c.Copies == 1:
		return "1 copy"
	}
	return fmt.Sprintf("%d copies", c.Copies)
}

func made(machines []Machine) []string {
	var order []string
	count := map[string]int{}
	for _, m := range machines {
		name := m.Offer
		if name == "" {
			name = m.Name
		}
		if count[name]++; count[name] == 1 {
			order = append(order, name)
		}
	}
	for i, name := range order {
		order[i] = fmt.Sprintf("%d× %s", count[name], name)
	}
	return order
}

func (o *Outcome) say(format string, args ...any) {
	o.Steps = append(o.Steps, fmt.Sprintf(format, args...))
}

func (o *Outcome) capacity(c *Colony) {
	if c.Way == WayBucket {
		o.UsableGB, o.HealsGB, o.Unlimited = c.StoredGB, c.StoredGB, true
		if size := c.Bucket.Offer.DiskGB; size > 0 {
			o.UsableGB, o.HealsGB, o.Unlimited = size, size, false
		}
		o.StoredGB = c.StoredGB
		return
	}
	o.UsableGB, o.HealsGB = c.usable(c.stores()), c.usableAfterLoss()
	raw := 0.0
	for _, i := range c.stores() {
		raw += c.Machines[i].DiskGB.Value
	}
	o.say("%s: %.0f GB, less %.0f %% reserve, ÷ %.2g for %s on as many machines: %.1f GB of files fit, %.1f GB so that any one loss heals by itself",
		count(len(c.stores()), "store"), raw, 100*reserveOfStore, c.perByte(), o.Keep, o.UsableGB, o.HealsGB)
	if c.StoredGB == 0 {
		c.StoredGB = 0.8 * o.UsableGB
		if o.HealsGB > 0 {
			c.StoredGB = min(c.StoredGB, o.HealsGB)
		}
	}
	o.StoredGB = c.StoredGB
}

func (o *Outcome) speed(c *Colony) {
	own := c.Way == WayLocal // each reads what it wrote: what the placement is for
	o.Write, o.WriteAll = c.oneWriter(false), c.allWriters(false)
	o.Read, o.ReadAll = c.oneReader(own, false), c.allReaders(own, false)
	for w, m := range c.Machines {
		a := Alone{m.Name, c.writer(w, false), c.reader(w, own, false)}
		a.Write.Limits, a.Read.Limits = nil, nil
		o.Each = append(o.Each, a)
	}
	o.Create = Written{Alone: c.create(small{kb: 4, threads: 1}), Shared: c.create(small{kb: 4, threads: 1, commits: 2}), Fsynced: c.create(small{kb: 4, threads: 1, commits: 1}),
		Many: c.create(small{kb: 4, threads: 16, commits: 2}), Bigger: c.create(small{kb: 64, threads: 1}), Safe: c.create(small{kb: 64, threads: 1, commits: 1})}
	o.Open = Opened{c.open(1, false), c.open(16, false)}
	o.say("one writer: %s", o.Write.arithmetic())
	o.say("all %d writing at once, in sum: %s", len(c.Machines), o.WriteAll.arithmetic())
	reads := "one reader"
	if own {
		reads = "one reader of its own files"
	}
	o.say("%s: %s", reads, o.Read.arithmetic())
	o.say("all reading at once, in sum: %s", o.ReadAll.arithmetic())
	o.say("files of 4 KiB written by one thread, alone in the directory: %s", o.Create.Alone.Step)
	o.say("the same where several machines work: %s", o.Create.Shared.Step)
	o.say("the same by 16 threads: %s", o.Create.Many.Step)
	o.say("each fsynced, one thread: %s", o.Create.Fsynced.Step)
	o.say("files of 64 KiB, alone: %s", o.Create.Bigger.Step)
	o.say("each fsynced: %s", o.Create.Safe.Step)
	o.say("files of 4 KiB opened and read by one thread, nothing in memory: %s", o.Open.One.Step)
	for _, m := range c.Machines {
		if m.Baseline.Value < 1 {
			o.Spent.Applies = true
		}
	}
	if o.Spent.Applies {
		write, read := c.oneWriter(true), c.oneReader(own, true)
		o.Spent.WriteMBps, o.Spent.ReadMBps, o.Spent.CreateFiles = write.MBps, read.MBps, c.create(small{kb: 4, threads: 1, spent: true}).PerSecond
		o.say("after the processors' credits are spent: one writer %s", write.arithmetic())
		o.say("after the processors' credits are spent: one reader %s", read.arithmetic())
	}
}

// arithmetic shows the narrowest limits.
func (r Throughput) arithmetic() string {
	text := ""
	for i, l := range r.Limits[:min(len(r.Limits), 3)] {
		if i > 0 {
			text += "; "
		}
		text += fmt.Sprintf("%s %.3g ÷ %.3g = %.0f MB/s", l.What, l.Capacity, l.Demand, l.MBps)
	}
	return text + fmt.Sprintf(" → %.0f MB/s", r.MBps)
}

func (o *Outcome) money(c *Colony, s Setting) error {
	sum, currency := 0.0, ""
	var prices []Money
	add := func(m Money) { prices = append(prices, m) }
	for _, m := range c.Machines {
		if m.Monthly == nil {
			o.Unpriced = append(o.Unpriced, m.Name)
			continue
		}
		add(*m.Monthly)
	}
	if c.Way == WayBucket {
		price := c.Bucket.Offer.Monthly
		if c.Bucket.Offer.ByTheGB() {
			price.Amount *= c.StoredGB
		}
		add(price)
	}
	for i, m := range prices {
		if i == 0 {
			currency = m.Currency
		}
		if m.Currency != currency {
			currency = "USD"
		}
	}
	if s.Unit.Currency != "" {
		currency = s.Unit.Currency
	}
	for _, m := range prices {
		same, err := s.Rates.Convert(m, currency)
		if err != nil {
			return err
		}
		sum += same.Amount
	}
	if len(o.Unpriced) > 0 || len(prices) == 0 {
		o.say("no price is known for %v: no money is reckoned; name plans with --plan or in your table", o.Unpriced)
		return nil
	}
	total, err := s.Unit.Of(Money{sum, currency})
	if err != nil {
		return err
	}
	o.Monthly = &total
	if dollars, err := s.Rates.Convert(Money{sum, currency}, "USD"); err == nil {
		o.monthlyUS = dollars.Amount
	}
	gb := o.UsableGB
	if c.Way == WayBucket {
		gb = c.StoredGB
	}
	if gb > 0 {
		per := Money{total.Amount / gb, total.Currency}
		o.PerGB = &per
		o.say("%s a month ÷ %.0f GB = %s a GB", total, gb, per)
	}
	return nil
}

// assumed lists what was not measured, once each.
func (c *Colony) assumed() []string {
	count := map[string]int{}
	var order []string
	for _, m := range c.Machines {
		for _, f := range []struct {
			what   string
			figure Figure
			unit   string
		}{{"network", m.Net, "MB/s"}, {"disk writing", m.DiskWrite, "MB/s"}, {"disk reading", m.DiskRead, "MB/s"}, {"fsync", m.Fsync, "ms"}, {"round trip", m.RTT, "ms"},
			{"disk", m.DiskGB, "GB"}, {"speed of a processor", m.Speed, "× the reference"}} {
			if f.figure.Origin == Assumed {
				text := fmt.Sprintf("%s %.3g %s", f.what, f.figure.Value, f.unit)
				if count[text]++; count[text] == 1 {
					order = append(order, text)
				}
			}
		}
	}
	for i, text := range order {
		if count[text] < len(c.Machines) {
			order[i] = fmt.Sprintf("%s (%d of %d machines)", text, count[text], len(c.Machines))
		}
	}
	if c.Way == WayBucket {
		order = append(order, fmt.Sprintf("bucket: %.0f MB/s a request, %.0f ms", c.Bucket.Stream.Value, c.Bucket.Latency.Value))
	}
	return order
}
