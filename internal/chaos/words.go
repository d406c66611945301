package main

import "example.com/leeway/internal/shoppers"

// The words that scenarios are written in, without the name of their package: a
// scenario is read as a story.

type (
	mark   = shoppers.Mark
	caller = shoppers.Caller
	line   = shoppers.Line
	app    = shoppers.App
)

var (
	count        = shoppers.Count
	acknowledged = shoppers.Acknowledged
	unknown      = shoppers.InDoubt
	isRead       = shoppers.IsRead
	isBrowsing   = shoppers.IsBrowsing
	fromReplica  = shoppers.FromReplica
	fromNode     = shoppers.FromNode
	because      = shoppers.Because
	withCode     = shoppers.WithCode
	pause        = shoppers.Pause
	poll         = shoppers.Poll
)
