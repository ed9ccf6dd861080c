package openstack

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"
)

// cacheKey is the SHA-256 of a secret. The secret itself is never kept: a memory dump of the cache gives nobody a
// token.
type cacheKey [sha256.Size]byte

// keyOf hashes the parts with a zero byte between them, which no token or secret holds.
func keyOf(parts ...string) cacheKey {
	var buffer [512]byte
	data := buffer[:0]
	for i, part := range parts {
		if i > 0 {
			data = append(data, 0)
		}
		data = append(data, part...)
	}
	return sha256.Sum256(data)
}

const (
	evictionSample = 16
	sweepEvery     = time.Minute
)

// cache is a bounded map whose entries expire. A hit takes a read lock and writes one atomic word, so that readers do
// not queue. When it is full, the least recently used of a sample goes: nearly as good as a true LRU and without its
// list.
type cache[V any] struct {
	max int

	mu      sync.RWMutex
	items   map[cacheKey]*cacheItem[V]
	sweepAt time.Time
}

type cacheItem[V any] struct {
	value   V
	expires time.Time
	used    atomic.Int64
}

func newCache[V any](limit int) *cache[V] {
	return &cache[V]{max: limit, items: make(map[cacheKey]*cacheItem[V])}
}

func (c *cache[V]) get(key cacheKey, now time.Time) (value V, ok bool) {
	c.mu.RLock()
	item := c.items[key]
	c.mu.RUnlock()
	if item == nil || !now.Before(item.expires) {
		return value, false
	}
	item.used.Store(now.UnixNano())
	return item.value, true
}

func (c *cache[V]) put(key cacheKey, value V, expires, now time.Time) {
	if !now.Before(expires) {
		return
	}
	item := &cacheItem[V]{value: value, expires: expires}
	item.used.Store(now.UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.After(c.sweepAt) {
		c.sweep(now)
	}
	if _, known := c.items[key]; !known && len(c.items) >= c.max {
		c.evict(now)
	}
	c.items[key] = item
}

func (c *cache[V]) drop(key cacheKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.items, key)
}

func (c *cache[V]) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.items)
}

func (c *cache[V]) sweep(now time.Time) {
	for key, item := range c.items {
		if !now.Before(item.expires) {
			delete(c.items, key)
		}
	}
	c.sweepAt = now.Add(sweepEvery)
}

func (c *cache[V]) evict(now time.Time) {
	var victim cacheKey
	oldest, seen := int64(0), 0
	for key, item := range c.items { // The order of a map is random: that is the sample.
		if !now.Before(item.expires) {
			victim = key
			break
		}
		if used := item.used.Load(); seen == 0 || used < oldest {
			victim, oldest = key, used
		}
		if seen++; seen == evictionSample {
			break
		}
	}
	delete(c.items, victim)
}
