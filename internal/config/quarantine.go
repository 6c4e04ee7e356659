package config

import "time"

// Quarantine says how long filters hold messages where the verdict does not say,
// and what happens then.
type Quarantine struct {
	Keep time.Duration `yaml:"keep"` // 0: until somebody decides
	Then string        `yaml:"then"`
}

// FilterQuarantine is Quarantine of one filter; what the file leaves out is taken
// from there.
type FilterQuarantine struct {
	Keep *time.Duration `yaml:"keep"`
	Then string         `yaml:"then"`
}

// What Quarantine.Then says.
const (
	ThenRelease = "release"
	ThenDelete  = "delete"
	ThenBounce  = "bounce"
)

func quarantineKeys() []Key {
	ends := []string{ThenDelete, ThenBounce, ThenRelease}
	return []Key{
		{Path: "quarantine.keep", Default: "0", Min: "0", Max: "3650d", Live: true, Doc: "How long filters hold messages in quarantine, where the verdict does not say; it counts for what is held from then on. 0: until somebody decides."},
		{Path: "quarantine.then", Default: ThenDelete, Enum: ends, Live: true, Doc: "What happens when that time is over: `delete`, without a word to anybody; `bounce`, with a delivery report to the sender; `release`, to the next filter or to the recipients, and to the same filter again if it had failed."},
		{Path: "filters.*.quarantine.keep", Min: "0", Max: "3650d", Live: true, Doc: "As `quarantine.keep`, for what this filter holds. Default: that."},
		{Path: "filters.*.quarantine.then", Enum: ends, Live: true, Doc: "As `quarantine.then`, for what this filter holds. Default: that."},
	}
}

// deriveQuarantine fills in what filters do not say of their own.
func (c *Config) deriveQuarantine() {
	for name, f := range c.Filters {
		if f.Quarantine.Keep == nil {
			keep := c.Quarantine.Keep
			f.Quarantine.Keep = &keep
		}
		if f.Quarantine.Then == "" {
			f.Quarantine.Then = c.Quarantine.Then
		}
		c.Filters[name] = f
	}
}
