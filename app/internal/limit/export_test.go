package limit

// ClientsForTest returns the number of clients in memory.
func (l *Limiter) ClientsForTest() int { return len(l.local.clients) }
