package limit

// ClientsForTest is how many clients are kept in memory.
func (l *Limiter) ClientsForTest() int { return len(l.local.clients) }
