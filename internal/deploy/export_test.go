package deploy

// Evict is for the test of drains.
var Evict = evict
