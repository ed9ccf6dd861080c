// Package workload speaks to the API servers of workload clusters: many of them, none of them trusted, any of them
// silent. Every request has a time limit, every answer a size limit, and each cluster one connection, so that a cluster
// that answers nothing or too much costs its own rounds and nobody else's. What is written there is not known here.
package workload
