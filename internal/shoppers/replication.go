package shoppers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"example.com/leeway/db/fresh"
)

// Replication is what is used of an instance's /v1/replication.
type Replication struct {
	Verdict string `json:"verdict"`
	Alarms  []struct {
		Code string `json:"code"`
	} `json:"alarms"`
	Primary *struct {
		Name     string `json:"name"`
		Timeline uint32 `json:"timeline"`
	} `json:"primary"`
	Replicas []struct {
		Name      string `json:"name"`
		ReplayLSN string `json:"replay_lsn"`
	} `json:"replicas"`
	Counters map[string]float64 `json:"counters"`
}

// Replication asks an instance how it sees the cluster.
func (c *Crowd) Replication(ctx context.Context, a *App) (v Replication, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL()+"/v1/replication", nil)
	if err != nil {
		return v, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	return v, json.NewDecoder(res.Body).Decode(&v)
}

// AwaitGood waits until the instance finds nothing wrong with the cluster.
func (c *Crowd) AwaitGood(ctx context.Context, a *App) error {
	var last Replication
	var lastErr error
	err := Poll(ctx, func() bool {
		last, lastErr = c.Replication(ctx, a)
		return lastErr == nil && last.Verdict == "good"
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: it sees %+v (%w); see %s", a.Name, last, lastErr, a.Log)
	}
	return nil
}

// Alarm tells whether the instance raises it.
func (v Replication) Alarm(code string) bool {
	for _, a := range v.Alarms {
		if a.Code == code {
			return true
		}
	}
	return false
}

// Replayed is how far a replica was seen; 0 when that is not known.
func (v Replication) Replayed(name string) (lsn fresh.LSN) {
	for _, r := range v.Replicas {
		if r.Name == name {
			lsn, _ = fresh.ParseLSN(r.ReplayLSN)
		}
	}
	return lsn
}
