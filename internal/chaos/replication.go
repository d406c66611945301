package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/pgcluster"
)

// replicationView is what is used of an instance's /v1/replication.
type replicationView struct {
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

func (w *world) replication(ctx context.Context, a *app) (v replicationView, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, *a.url.Load()+"/v1/replication", nil)
	if err != nil {
		return v, err
	}
	res, err := w.http.Do(req)
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	return v, json.NewDecoder(res.Body).Decode(&v)
}

func (v replicationView) has(code string) bool {
	for _, a := range v.Alarms {
		if a.Code == code {
			return true
		}
	}
	return false
}

// awaitSeen waits until every instance has seen that a standby had replayed lsn.
func (w *world) awaitSeen(ctx context.Context, standby *pgcluster.Node, lsn int64) {
	w.awaitThat(ctx, "the shops know how far "+standby.Name()+" is", func() bool {
		for _, a := range w.apps {
			v, err := w.replication(ctx, a)
			if err != nil || v.replayed(standby.Name()) < fresh.LSN(lsn) {
				return false
			}
		}
		return true
	})
}

func (v replicationView) replayed(name string) (lsn fresh.LSN) {
	for _, r := range v.Replicas {
		if r.Name == name {
			lsn, _ = fresh.ParseLSN(r.ReplayLSN) // 0 when it is not known
		}
	}
	return lsn
}
