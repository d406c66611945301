package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
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
	Counters map[string]float64 `json:"counters"`
}

func (w *world) replication(ctx context.Context, a *app) (v replicationView, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/v1/replication", nil)
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
